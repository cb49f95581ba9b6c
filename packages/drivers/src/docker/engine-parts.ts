import { randomUUID } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DockerEngine, EngineInfo } from '@cove/docker-engine'
import type { AgentVolume } from './agent-volume.ts'
import { emptyImage } from './agent-volume.ts'
import type { ContainerWatch } from './container-watch.ts'
import type { MissingLimits } from './limits.ts'
import { KIND, type Names } from './names.ts'

/** One engine and what the driver has there. */
export interface EngineParts {
  readonly engine: DockerEngine
  readonly info: EngineInfo
  readonly agent: AgentVolume
  readonly watch: ContainerWatch
  readonly missing: MissingLimits
  /** Profile for all machines, as JSON. */
  readonly seccomp: string
}

const INSIDE = '/here'
const FILE = 'nonce'
/** Of an archive with one short file in it. */
const MAX_ARCHIVE_BYTES = 1024 * 1024

/**
 * Whether the engine sees this host's files under their own paths: shown by a file that nobody else can know. The
 * container that looks is never started.
 */
export async function sharesFiles(engine: DockerEngine, names: Names, stateDir: string): Promise<boolean> {
  const folder = join(stateDir, `here-${randomUUID()}`)
  const nonce = randomUUID()
  await mkdir(folder, { recursive: true, mode: 0o700 })
  let container: string | undefined
  try {
    await writeFile(join(folder, FILE), nonce)
    const made = await engine.createContainer({
      image: await emptyImage(engine, names),
      command: ['none'],
      network: 'none',
      labels: names.labels(KIND.helper),
      mounts: [{ kind: 'bind', source: folder, target: INSIDE, readOnly: true }],
    })
    container = made.id
    const archive = await engine.getArchive(container, `${INSIDE}/${FILE}`)
    let text = ''
    for await (const chunk of archive) {
      text += Buffer.from(chunk).toString('latin1')
      if (text.length > MAX_ARCHIVE_BYTES) break
    }
    return text.includes(nonce)
  } catch {
    return false
  } finally {
    if (container !== undefined) await engine.removeContainer(container)
    await rm(folder, { recursive: true, force: true })
  }
}
