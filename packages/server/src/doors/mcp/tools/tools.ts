import type { Tool } from '../tool.ts'
import { execute, installPackages } from './code.ts'
import { createEnvironment } from './create-environment.ts'
import { destroyEnvironment, extendTimeout, listEnvironments } from './environments.ts'
import { listFiles, readFile, writeFile } from './files.ts'
import { listPorts, previewUrl, sharePort } from './ports.ts'
import { listProcesses, readProcess, startProcess, stopProcess, writeProcessInput } from './processes.ts'

/** Every tool, in the order in which they are listed. */
export const TOOLS: readonly Tool[] = [
  createEnvironment,
  destroyEnvironment,
  listEnvironments,
  execute,
  writeFile,
  readFile,
  listFiles,
  installPackages,
  startProcess,
  readProcess,
  writeProcessInput,
  stopProcess,
  listProcesses,
  listPorts,
  sharePort,
  previewUrl,
  extendTimeout,
]
