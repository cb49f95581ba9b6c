import { randomBytes } from 'node:crypto'
import type { DockerEngine } from '@cove/docker-engine'
import { TestDockerd } from '@cove/docker-engine/testing'
import type { DockerEnvironment } from '../../src/docker/docker-environment.ts'
import type { DockerEnvironmentOptions } from '../../src/docker/docker-options.ts'
import { openDockerEnvironment } from '../../src/docker/open-docker-environment.ts'
import type { Proc } from '../../src/index.ts'

/** A real engine, and containers in it that pause and have no network unless they are asked for otherwise. */
export class DockerBench implements AsyncDisposable {
  readonly daemon: TestDockerd
  readonly engine: DockerEngine

  private constructor(daemon: TestDockerd, engine: DockerEngine) {
    this.daemon = daemon
    this.engine = engine
  }

  static async start(flags: readonly string[] = []): Promise<DockerBench> {
    const daemon = await TestDockerd.start(flags)
    return new DockerBench(daemon, await daemon.open())
  }

  /** Under a name of its own, unless one is given. */
  options(more: Partial<DockerEnvironmentOptions> = {}): DockerEnvironmentOptions {
    return {
      name: `box-${randomBytes(4).toString('hex')}`,
      image: TestDockerd.image,
      installation: 'test',
      network: 'none',
      engine: this.engine,
      ...(more.command === undefined && more.entrypoint === undefined ? { pause: true } : {}),
      ...more,
    }
  }

  open(more?: Partial<DockerEnvironmentOptions>): Promise<DockerEnvironment> {
    return openDockerEnvironment(this.options(more))
  }

  async ready(more?: Partial<DockerEnvironmentOptions>): Promise<DockerEnvironment> {
    const environment = await this.open(more)
    await environment.init()
    return environment
  }

  async names(): Promise<string[]> {
    const all = await this.engine.listContainers({})
    return all.map(({ names }) => names[0] ?? '')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.engine[Symbol.dispose]()
    await this.daemon[Symbol.asyncDispose]()
  }
}

/** Runs a script to its end; what it has said on stdout. */
export async function say(environment: DockerEnvironment, script: string): Promise<string> {
  const proc = await environment.newProcess('sh', '-c', script)
  const lines = collect(proc)
  const exit = await proc.run()
  if (exit.kind !== 'exited' || exit.code !== 0) throw new Error(`${script}: ${JSON.stringify(exit)}`)
  return lines.join('\n')
}

export function collect(proc: Proc): string[] {
  const lines: string[] = []
  proc.withOutput(({ stream, text }) => {
    if (stream === 'stdout') lines.push(text)
  })
  return lines
}
