import { toNumber, toObject, type JsonObject } from './json.ts'

/** A further process in a running container. */
export interface ExecSpec {
  readonly argv: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly workingDirectory?: string
  readonly user?: string
  readonly terminal?: boolean
  readonly stdin?: boolean
}

export interface ExecState {
  readonly running: boolean
  /** On the engine's host; 0 before it has started. */
  readonly pid: number
  /** Undefined while it runs. */
  readonly exitCode: number | undefined
}

export function toExecBody(spec: ExecSpec): JsonObject {
  return {
    Cmd: spec.argv,
    Env: Object.entries(spec.env ?? {}).map(([name, value]) => `${name}=${value}`),
    WorkingDir: spec.workingDirectory,
    User: spec.user,
    Tty: spec.terminal ?? false,
    AttachStdin: spec.stdin ?? false,
    AttachStdout: true,
    AttachStderr: true,
  }
}

export function toExecState(value: unknown): ExecState {
  const object = toObject(value, 'exec')
  const running = object['Running'] === true
  return {
    running,
    pid: toNumber(object, 'Pid'),
    exitCode: running || object['ExitCode'] === null ? undefined : toNumber(object, 'ExitCode'),
  }
}
