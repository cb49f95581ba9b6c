import { CoveError } from '@cove/domain'
import { formatOwner, parseOwner, type ContainerOwner } from './container-owner.ts'

/**
 * Names a process of ours in its environment and in those of all that it starts: whose it is, and which. They are found
 * by it when they have left its session, and when whoever started them is gone.
 */
export const MARK_VARIABLE = 'COVE_EXEC'

export interface ExecMark {
  readonly id: string
  readonly owner: ContainerOwner
}

export function formatMark({ id, owner }: ExecMark): string {
  if (!/^[0-9a-z]{8,64}$/.test(id)) throw new CoveError('internal', 'the id of a mark is not random enough')
  return `${id}@${formatOwner(owner)};`
}

export function parseMark(text: string): ExecMark | undefined {
  const [, id = '', rest = ''] = /^([0-9a-z]{8,64})@(.+);$/.exec(text) ?? []
  const owner = parseOwner(rest)
  return owner === undefined ? undefined : { id, owner }
}
