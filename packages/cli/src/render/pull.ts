import { formatBytes } from '@cove/domain'
import type { PullProgress } from '@cove/sdk'
import type { Io } from '../io.ts'
import { oneLine } from './text.ts'

const EVERY_MS = 100

interface ShownPull extends Disposable {
  readonly show: (progress: PullProgress) => void
  readonly clear: () => void
}

/** One line on the terminal, rewritten; nothing where no person looks. */
export function showPull({ stderr }: Io): ShownPull {
  let last = -Infinity
  let shown = false
  const clear = () => {
    if (shown) stderr.write('\r\u001B[K')
    shown = false
  }
  const show = ({ step, bytes, totalBytes }: PullProgress) => {
    const now = performance.now()
    if (stderr.isTTY !== true || now - last < EVERY_MS) return
    last = now
    const amount =
      bytes === 0 ? '' : `, ${formatBytes(bytes)}${totalBytes === 0 ? '' : ` of ${formatBytes(totalBytes)}`}`
    stderr.write(`\r\u001B[K${oneLine(step).slice(0, 60)}${amount}`)
    shown = true
  }
  return { show, clear, [Symbol.dispose]: clear }
}
