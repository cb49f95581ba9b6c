import { readdirSync, readFileSync } from 'node:fs'
import { isAlive } from './bench.ts'

/** The variable that tests give their processes, to find all of them whatever becomes of their parents. */
export const TEST_MARK = 'COVE_TEST_MARK'

/** Everything that runs and was started by whoever had this mark. */
export function marked(mark: string): number[] {
  const word = `${TEST_MARK}=${mark}\0`
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => environmentOf(pid).includes(word))
    .map(Number)
    .filter(isAlive)
}

function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1')
  } catch {
    return ''
  }
}
