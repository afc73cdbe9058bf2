/** What counts of findings are told apart by, beside their states; `state` is nothing else. */
export const TREND_GROUPINGS = ['state', 'severity', 'type', 'integration'] as const
export type TrendGrouping = (typeof TREND_GROUPINGS)[number]
