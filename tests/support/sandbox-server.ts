import type { SandboxRef } from '@cove/sdk'

/** Starts a program inside a sandbox and comes back when it has said `ready`. */
export async function startServer(sandbox: SandboxRef, argv: readonly string[]): Promise<void> {
  const process = await sandbox.start(argv)
  let told = ''
  for await (const event of process.events()) {
    if (event.type === 'exit') break
    if (event.type === 'output') told += Buffer.from(event.data).toString()
    if (!told.includes('ready\n')) continue
    // Whoever stays attached keeps the sandbox from being idle.
    process.detach()
    return
  }
  throw new Error(`the server in the sandbox ended: ${told}`)
}

/** Runs a program of JavaScript in the sandbox; it says `ready` when it listens. */
export async function startNodeServer(sandbox: SandboxRef, program: string): Promise<void> {
  await sandbox.files.write('/home/user/server.mjs', program)
  await startServer(sandbox, ['node', '/home/user/server.mjs'])
}
