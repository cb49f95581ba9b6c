import { createLaunchedDriver, type LaunchedDriver, type LaunchedOptions } from '../launched/driver.ts'
import { bubblewrapTool } from './tool.ts'

export interface BubblewrapOptions extends LaunchedOptions {
  /** Path of bwrap. Default: found in the system's program folders. */
  readonly bwrap?: string
}

/** Linux namespaces by bubblewrap: own users, mounts, processes, network; the host's kernel, filtered. */
export function createBubblewrapDriver(options: BubblewrapOptions): LaunchedDriver {
  return createLaunchedDriver(options, bubblewrapTool(options.bwrap))
}
