import { createLaunchedDriver, type LaunchedDriver, type LaunchedOptions } from '../launched/driver.ts'
import { RUNTIMES } from './flavours.ts'
import { runtimeTool } from './runtime-tool.ts'

export interface OciOptions extends LaunchedOptions {
  /** The driver is called like its runtime. */
  readonly runtime: 'crun' | 'runc'
  /** Path of the runtime. Default: found in the system's program folders. */
  readonly program?: string
}

/** Containers without a daemon: own users, mounts, processes, network; the host's kernel, filtered. */
export function createOciDriver(options: OciOptions): LaunchedDriver {
  return createLaunchedDriver(options, runtimeTool(RUNTIMES[options.runtime], options.program))
}
