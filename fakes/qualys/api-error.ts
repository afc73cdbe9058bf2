/** A refusal in Qualys' own words; the server renders it as SIMPLE_RETURN with this status. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: number
  readonly code: number
  readonly items: readonly (readonly [key: string, value: string])[]

  constructor(status: number, code: number, text: string, items: ApiError['items'] = []) {
    super(text)
    this.status = status
    this.code = code
    this.items = items
  }
}

export const unrecognized = (names: readonly string[]) =>
  new ApiError(400, 1901, `Unrecognized parameter(s): ${names.join(', ')}`)
export const missing = (names: readonly string[]) =>
  new ApiError(400, 1903, `Missing required parameter(s): ${names.join(', ')}`)
export const onlyOneOf = (names: readonly string[]) =>
  new ApiError(400, 1904, `Please specify only one of these parameters: ${names.join(', ')}`)
export const invalidValue = (name: string, value: string, why: string) =>
  new ApiError(400, 1905, `parameter ${name} has invalid value: ${value} (${why})`)
export const badCombination = (pairs: readonly string[]) =>
  new ApiError(
    400,
    1907,
    `The following combination of key=value pairs is not supported: ${pairs.join(', ')}`,
  )
export const wrongMethod = (method: string) =>
  new ApiError(
    400,
    1908,
    `Request method (GET or POST) is incompatible with specified parameter(s): ${method}`,
  )
