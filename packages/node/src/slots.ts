import type { SandboxId } from '@cove/domain'
import type { NodeParts } from './node-parts.ts'
import { Slot } from './slot.ts'

/** The sandbox's slot, made when there is none; it leaves the table by itself once nothing is in it. */
export function slotFor(parts: NodeParts, id: SandboxId): Slot {
  const known = parts.slots.get(id)
  if (known !== undefined) return known
  const slot = new Slot(id, parts.background, () => {
    if (parts.slots.get(id) === slot) parts.slots.delete(id)
  })
  parts.slots.set(id, slot)
  return slot
}
