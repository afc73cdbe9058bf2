/**
 * The severity of a finding `f` as rules, lists and tickets see it, with its vulnerability as `v`: that of the knowledge
 * base, which a user of the subscription may have edited, or else the one that came with the detection. It is worked out
 * where it is read: a change of the knowledge base takes effect at once on every finding, and none has to be rewritten.
 */
export const EFFECTIVE_SEVERITY = 'coalesce(v.severity, f.severity)'
