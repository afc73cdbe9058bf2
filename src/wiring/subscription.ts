import type { QualysConfig } from '../sources/qualys/config.ts'
import { resolveBaseUrls } from '../sources/qualys/platforms.ts'

/**
 * Whose budget is spent, and whose hosts are meant by their ids. User names begin with five letters of the company; users
 * of another form are counted by themselves, which keeps to the limits as well.
 */
export function subscriptionOf(
  config: Pick<QualysConfig, 'url' | 'username'> & Partial<QualysConfig>,
): string {
  const { apiUrl } = resolveBaseUrls(config.url, config)
  const company = /^([a-z]{5})[^a-z][a-z]{2}\d{0,3}$/i.exec(config.username)?.[1]
  return `${new URL(apiUrl).host}/${company ?? config.username}`
}
