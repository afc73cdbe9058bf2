import { z } from 'zod'

const id = z.string().regex(/^\d{1,19}$/)

/** A tag as `search/am/tag` sends it; only what is used. */
export const Tag = z.object({
  id,
  name: z.string(),
  parentTagId: id.optional(),
  ruleType: z.string().optional(),
  criticalityScore: z.string().optional(),
})
export type Tag = z.infer<typeof Tag>

/** The `data` of an answer. Each tag is checked by itself, so that a bad one does not hide the others. */
export const TagData = z.object({ Tag: z.array(z.unknown()).default([]) })
