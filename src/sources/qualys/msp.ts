import { parseSmallXml, type SmallXmlElement, SmallXmlError } from '../../lib/xml-small.ts'
import { HubError } from '../../model/errors.ts'
import { classifyAnswer, hasNumberedError, truncatedError } from './errors.ts'
import { type OpenedBody, readWhole } from './fo-answer.ts'

const MSP_BODY_BYTES_MAX = 4 * 1024 * 1024

/** Reads a whole MSP answer. MSP puts errors into otherwise good documents, so these are looked for. */
export async function readMsp(
  opened: OpenedBody,
  call: { path: string; expectRoot: string },
): Promise<SmallXmlElement> {
  const body = await readWhole(opened, MSP_BODY_BYTES_MAX, call.path)
  if (hasNumberedError(body)) {
    const { status, headers, redact } = opened
    throw classifyAnswer({ ...call, body, status, headers, redact })
  }
  return parseWhole(body, call.path)
}

/** Parses a small answer that has to be whole. */
export function parseWhole(body: string, path: string, arrays?: ReadonlySet<string>): SmallXmlElement {
  try {
    return parseSmallXml(body.slice(body.indexOf('<')), arrays)
  } catch (error) {
    if (!(error instanceof SmallXmlError)) throw error
    if (error.code === 'cut') throw truncatedError(path, error)
    throw new HubError('contract', `The answer of Qualys to ${path} cannot be read: ${error.message}`, {
      code: `xml_${error.code}`,
      cause: error,
      hint: 'Look for a proxy that changes answers; else report it.',
    })
  }
}
