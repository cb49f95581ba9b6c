import { formatBytes } from '@cove/domain'
import type { TransferProgress } from '@cove/sdk'
import type { Io } from '../io.ts'

const EVERY_MS = 100
/** Work that is done sooner than this shows nothing. */
const QUIET_MS = 300

interface Progress extends Disposable {
  readonly show: (progress: TransferProgress) => void
  /** Makes room for another line. */
  readonly clear: () => void
}

/** One line on the terminal, rewritten; nothing where no person looks. */
export function showProgress({ stderr }: Io, quiet: boolean): Progress {
  if (quiet || stderr.isTTY !== true) return { show: () => {}, clear: () => {}, [Symbol.dispose]: () => {} }
  const begun = performance.now()
  let last = begun + QUIET_MS - EVERY_MS
  let shown = false
  const clear = () => {
    if (shown) stderr.write('\r\u001B[K')
    shown = false
  }
  const show = ({ entries, bytes }: TransferProgress) => {
    const now = performance.now()
    if (now - last < EVERY_MS) return
    last = now
    const speed = formatBytes(Math.round(bytes / ((now - begun) / 1000)))
    stderr.write(`\r\u001B[K${entries} copied, ${formatBytes(bytes)}, ${speed}/s`)
    shown = true
  }
  return { show, clear, [Symbol.dispose]: clear }
}
