import { createHash, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { DockerEngine } from '@cove/docker-engine'
import { AGENT_NAME } from './container-plan.ts'
import { KIND, LABEL, type Names } from './names.ts'
import { emptyTar, tarOfFile } from './tar-file.ts'

const FOLDER = '/agent'

/**
 * The guest program in an engine: in a volume of its own for each version, put there by an upload, so that the engine
 * may be anywhere and the image may be any.
 */
export class AgentVolume {
  readonly name: string
  readonly #content: Uint8Array
  readonly #names: Names

  private constructor(content: Uint8Array, names: Names) {
    this.#content = content
    this.#names = names
    this.name = names.agentVolume(createHash('sha256').update(content).digest('hex'))
  }

  static async read(guestProgram: string, names: Names): Promise<AgentVolume> {
    return new AgentVolume(await readFile(guestProgram), names)
  }

  /** Puts it there when it is not, or not whole. */
  async ensure(engine: DockerEngine, signal?: AbortSignal): Promise<void> {
    await engine.createVolume(this.name, this.#names.labels(KIND.agent), signal)
    const image = await emptyImage(engine, this.#names, signal)
    // It is never started: an engine shows volumes to uploads all the same.
    const { id } = await engine.createContainer({
      name: `cove-helper-${randomUUID()}`,
      image,
      command: ['none'],
      network: 'none',
      labels: this.#names.labels(KIND.helper),
      mounts: [{ kind: 'volume', source: this.name, target: FOLDER, readOnly: false, empty: true }],
    })
    try {
      const found = await engine.statPath(id, `${FOLDER}/${AGENT_NAME}`, signal)
      if (found?.kind === 'file' && found.sizeBytes === this.#content.length) return
      await engine.putArchive(id, FOLDER, tarOfFile(AGENT_NAME, this.#content), signal)
    } finally {
      await engine.removeContainer(id)
    }
  }

  /** Removes what other versions have left, as far as no container has it. */
  async removeOthers(engine: DockerEngine, signal?: AbortSignal): Promise<void> {
    for (const { name } of await engine.listVolumes(this.#names.labels(KIND.agent), signal)) {
      // The engine refuses what is in use.
      if (name !== this.name) await engine.removeVolume(name, signal).catch(() => undefined)
    }
  }
}

/** An image made of nothing; its name. */
export async function emptyImage(engine: DockerEngine, names: Names, signal?: AbortSignal): Promise<string> {
  const name = `${names.images}:empty`
  const found = await engine.listImages({ reference: name }, signal)
  if (found.length === 0) {
    await engine.importImage(name, emptyTar, [`LABEL ${LABEL.installation}=${names.installation}`], signal)
  }
  return name
}
