import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import type { Opened, Request, WorkerOptions } from './messages.ts'
import { openDatabase } from './open-database.ts'
import { problemOf } from './problem.ts'
import { requestBytes } from './request-size.ts'
import { Database } from './database.ts'

/** Requests in one transaction of SQLite; more wait for the next, so that the first are not kept waiting. */
const GROUP_REQUESTS = 512
const GROUP_BYTES = 8 * 1024 * 1024

const port = parentPort
if (port === null) throw new Error('the store worker runs only as a worker')
const options = workerData as WorkerOptions

function openOrRefuse(): Database | undefined {
  let answer: Opened
  let database: Database | undefined
  try {
    const { db, migratedFrom } = openDatabase(options.path, options.durability)
    try {
      database = new Database(db, options.path, options.historyLimit)
      answer = { type: 'opened', revision: database.revision, leases: database.leases(), migratedFrom }
    } catch (error) {
      db.close()
      throw error
    }
  } catch (error) {
    answer = { type: 'refused', problem: problemOf(error, options.path).wire }
  }
  port?.postMessage(answer)
  return database
}

const opened = openOrRefuse()
if (opened !== undefined) {
  port.on('message', (first: Request[]) => {
    let waiting = first
    do {
      // Whatever has arrived meanwhile joins the group: this is what makes many small transactions cheap.
      while (waiting.length < GROUP_REQUESTS) {
        const more = receiveMessageOnPort(port)
        if (more === undefined) break
        waiting = waiting.concat(more.message as Request[])
      }
      serve(nextGroup(waiting), opened)
    } while (waiting.length > 0)
  })
}

/** Takes from the front as many as go into one transaction of SQLite, at least one. */
function nextGroup(waiting: Request[]): Request[] {
  let bytes = 0
  const end = waiting.findIndex((request, i) => {
    bytes += requestBytes(request)
    return i > 0 && (i === GROUP_REQUESTS || bytes > GROUP_BYTES)
  })
  return waiting.splice(0, end === -1 ? waiting.length : end)
}

function serve(requests: Request[], database: Database): void {
  const replies = database.execute(requests)
  const closing = requests.at(-1)?.type === 'close'
  if (closing) database.close()
  port?.postMessage(replies)
  if (closing) {
    port?.close()
    return
  }
  try {
    database.cutHistory()
  } catch {
    // A full disk refuses this too; history is cut once there is space again.
  }
}
