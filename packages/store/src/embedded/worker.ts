import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import type { Opened, Request, WorkerOptions } from './messages.ts'
import { openDatabase } from './open-database.ts'
import { problemOf } from './problem.ts'
import { Database } from './database.ts'

/** Requests in one transaction of SQLite; more wait for the next, so that the first are not kept waiting. */
const GROUP_REQUESTS = 512

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
    // Whatever has arrived meanwhile joins the group: this is what makes many small transactions cheap.
    let group = first
    for (;;) {
      while (group.length < GROUP_REQUESTS) {
        const more = receiveMessageOnPort(port)
        if (more === undefined) break
        group = group.concat(more.message as Request[])
      }
      const requests = group.splice(0, GROUP_REQUESTS)
      if (requests.length === 0) return
      serve(requests, opened)
    }
  })
}

function serve(requests: Request[], database: Database): void {
  const closing = requests.at(-1)?.type === 'close'
  const replies = database.execute(requests)
  if (closing) {
    database.close()
    port?.postMessage(replies)
    port?.close()
    return
  }
  port?.postMessage(replies)
  try {
    database.cutHistory()
  } catch {
    // A full disk refuses this too; history is cut once there is space again.
  }
}
