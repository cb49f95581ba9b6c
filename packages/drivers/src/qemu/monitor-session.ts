import { connectSocket } from '../host/connect-socket.ts'
import { QmpClient } from './qmp-client.ts'

/** A session with the monitor at a socket, ended when `use` has. A monitor speaks with one at a time: others wait. */
export async function monitorSession<Value>(
  path: string,
  signal: AbortSignal,
  use: (client: QmpClient) => Promise<Value>,
): Promise<Value> {
  const stream = await connectSocket(path, signal)
  await using client = await QmpClient.open(stream, signal)
  return await use(client)
}
