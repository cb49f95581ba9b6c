import type { KernelProgress } from '@cove/guest-system'
import type { Io } from '../io.ts'
import { oneLine } from '../render/text.ts'

const EVERY_MS = 100

interface ShownKernelProgress extends Disposable {
  readonly show: (progress: KernelProgress) => void
  /** A line of the build, above the progress. */
  readonly line: (text: string) => void
}

/** One line on the terminal, rewritten; elsewhere a line for every step. */
export function showKernelProgress({ stderr }: Io, quiet: boolean): ShownKernelProgress {
  const live = stderr.isTTY === true
  let last = -Infinity
  let step = ''
  let shown = false
  const clear = () => {
    if (shown) stderr.write('\r\u001B[K')
    shown = false
  }
  return {
    show: (progress) => {
      if (quiet) return
      const isNew = progress.step !== step
      step = progress.step
      const now = performance.now()
      if (!live && isNew) stderr.write(`${oneLine(step)}\n`)
      if (!live || (!isNew && now - last < EVERY_MS)) return
      last = now
      stderr.write(`\r\u001B[K${oneLine(step).slice(0, 60)}${shareOf(progress)}`)
      shown = true
    },
    line: (text) => {
      clear()
      stderr.write(`${oneLine(text)}\n`)
    },
    [Symbol.dispose]: clear,
  }
}

/** Never all of it: how much there is, is a guess. */
function shareOf({ done, total }: KernelProgress): string {
  if (done === undefined || total === undefined || total === 0) return ''
  return `, ${Math.min(99, Math.floor((100 * done) / total))} %`
}
