import type { Exit } from '@cove/domain'
import { detailsText } from '../render/details.ts'
import type { Column } from '../render/table.ts'
import { ageText, commandText } from '../render/text.ts'
import type { ProcInfo } from './proc-info.ts'

/** The columns of `cove proc ls`. */
export const PROC_COLUMNS: readonly Column<ProcInfo>[] = [
  { title: 'NAME', minWidth: 8, cell: ({ name }) => name },
  { title: 'BACKEND', cell: ({ backend }) => backend },
  { title: 'STATE', minWidth: 8, cell: ({ state }) => state },
  { title: 'READY', cell: readyText },
  { title: 'SINCE', cell: ({ since }) => (since === undefined ? '-' : ageText(since, Date.now())) },
  { title: 'PID', minWidth: 5, cell: ({ pid }) => (pid === undefined ? '-' : String(pid)) },
  { title: 'RESTARTS', cell: ({ restarts }) => String(restarts) },
  { title: 'EXIT', cell: ({ exit }) => (exit === undefined ? '-' : exitText(exit)) },
  { title: 'COMMAND', cut: true, cell: ({ command }) => commandText(command) },
]

/** Everything about one, a line each. */
export function procDetails(info: ProcInfo): string {
  return detailsText([
    ['name', info.name],
    ['state', info.state],
    ['reason', info.reason],
    ['backend', info.description ?? info.backend],
    ['ready', info.ready === undefined ? undefined : readyText(info)],
    ['ready when', info.readyCheck],
    ['since', info.since?.toISOString()],
    ['pid', info.pid === undefined ? undefined : String(info.pid)],
    ['restart', info.restart],
    ['restarts', String(info.restarts)],
    ['exit', info.exit === undefined ? undefined : exitText(info.exit)],
    ['command', commandText(info.command)],
    ['directory', info.directory],
  ])
}

function readyText({ ready }: ProcInfo): string {
  if (ready === undefined) return '-'
  return ready ? 'yes' : 'no'
}

function exitText(exit: Exit): string {
  switch (exit.kind) {
    case 'exited':
      return String(exit.code)
    case 'signaled':
      return `signal ${exit.signal}`
    case 'out-of-memory':
      return 'memory'
    case 'lost':
      return 'unseen'
  }
}
