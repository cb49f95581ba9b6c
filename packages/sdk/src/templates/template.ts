import type { Network } from '@cove/domain'
import type { LimitOptions } from '../sandbox-options.ts'
import type { ContextFiles } from './build-context.ts'

/** Owner of what is copied, and what of it is left out. */
export interface CopyOptions {
  /** Number of the user that the files belong to. Default: root. */
  readonly uid?: number
  /** Default: the same number as `uid`. */
  readonly gid?: number
  /** Patterns as in `.coveignore`, beside those in there. */
  readonly ignore?: readonly string[]
}

/** When a start command counts as ready: one of port and command. */
export interface ReadyOptions {
  /** Something listens there, on the sandbox's own loopback. */
  readonly port?: number
  /** It ends with 0; a text is for the shell. */
  readonly command?: string | readonly string[]
  /** Milliseconds until the sandbox, or the build, has failed. Default one minute. */
  readonly timeoutMs?: number
}

/** One step of a template. */
export type TemplateStep =
  | { readonly kind: 'run'; readonly command: string }
  | {
      readonly kind: 'copy'
      /** A path below the context directory (Node only), or files by their paths below the target. */
      readonly from: string | ContextFiles
      readonly to: string
      readonly options: CopyOptions
    }
  | { readonly kind: 'env'; readonly env: Readonly<Record<string, string>> }
  | { readonly kind: 'workdir'; readonly path: string }
  | { readonly kind: 'user'; readonly user: string }

interface Parts {
  readonly source: string
  readonly steps: readonly TemplateStep[]
  readonly start?: { readonly argv: readonly string[]; readonly ready?: ReadyOptions }
  readonly description?: string
  readonly limits?: LimitOptions
  readonly network?: 'none' | 'internet' | Network
  readonly memory?: 'none' | 'internet' | Network
}

/**
 * Says what sandboxes are to start from: a source and steps over it. Every call answers with a new one and leaves the
 * old as it was. Nothing happens before `cove.templates.build`.
 */
export class Template {
  /** @internal */
  readonly parts: Parts

  /** From `host`, a source such as `oci:alpine:3.20` or `debian:bookworm+python3`, or another template. */
  constructor(source: string)
  /** @internal */
  constructor(source: string, parts: Omit<Parts, 'source'>)
  constructor(source: string, parts: Omit<Parts, 'source'> = { steps: [] }) {
    this.parts = { ...parts, source }
  }

  /** A command for the shell of the image; what it writes becomes part of the image. */
  run(command: string): Template {
    return this.#step({ kind: 'run', command })
  }

  /**
   * Files of the context directory (Node only), or files from memory, put below or at `to`. Links are copied as links.
   * Relative targets are below the working directory.
   */
  copy(from: string | ContextFiles, to: string, options: CopyOptions = {}): Template {
    return this.#step({ kind: 'copy', from, to, options })
  }

  /** Variables for later steps and for sandboxes. */
  env(env: Readonly<Record<string, string>>): Template {
    return this.#step({ kind: 'env', env })
  }

  /** Where later steps and sandboxes start; made when it is not there. */
  workdir(path: string): Template {
    return this.#step({ kind: 'workdir', path })
  }

  /** Whose processes later steps and sandboxes run: a name or a number, with `:group` or without. */
  user(user: string): Template {
    return this.#step({ kind: 'user', user })
  }

  /** What runs in every sandbox from its start on; a text is for the shell. Creates answer when it is ready. */
  start(command: string | readonly string[], ready?: ReadyOptions): Template {
    return this.#with({ start: { argv: argvOf(command), ...(ready === undefined ? {} : { ready }) } })
  }

  /** For people. */
  describe(description: string): Template {
    return this.#with({ description })
  }

  /** What sandboxes have unless they ask for something else. */
  limits(limits: LimitOptions): Template {
    return this.#with({ limits })
  }

  /** What the steps can reach. Default `none`. */
  network(network: 'none' | 'internet' | Network): Template {
    return this.#with({ network })
  }

  /**
   * Kept as a memory snapshot too, with its start command running: sandboxes with the same limits and this network go on
   * from there instead of starting. What a sandbox is created with in `env` reaches only what is started later.
   */
  memory(network: 'none' | 'internet' | Network = 'none'): Template {
    return this.#with({ memory: network })
  }

  #step(step: TemplateStep): Template {
    return this.#with({ steps: [...this.parts.steps, step] })
  }

  #with(change: Partial<Parts>): Template {
    const { source, ...parts } = { ...this.parts, ...change }
    return new Template(source, parts)
  }
}

/** @internal */
export function argvOf(command: string | readonly string[]): string[] {
  return typeof command === 'string' ? ['/bin/sh', '-c', command] : [...command]
}
