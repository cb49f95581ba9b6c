import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CoveError } from '@cove/domain'
import type { DockerfileBuild } from '../store/options.ts'
import { findProgram } from './find-program.ts'
import { runTool } from './run-tool.ts'

const DOCKER_SOCKET = '/var/run/docker.sock'

/** By the Docker engine of this host where one listens, else by buildah; by nothing that has to run all the time. */
export async function buildWithTools(build: DockerfileBuild): Promise<void> {
  const [file, context] = await locate(build.path)
  const docker = await findProgram('docker')
  if (docker !== undefined && (await isThere(DOCKER_SOCKET))) return await buildWithDocker(docker, file, context, build)
  const buildah = await findProgram('buildah')
  if (buildah !== undefined) return await buildWithBuildah(buildah, file, context, build)
  throw new CoveError(
    'unsupported',
    'there is no Docker engine and no buildah here to build a Dockerfile with',
    {},
    {
      fix: 'Start a Docker engine, or install buildah: apt-get install buildah.',
    },
  )
}

async function buildWithDocker(docker: string, file: string, context: string, build: DockerfileBuild): Promise<void> {
  const { scratch, archive, platform, signal, progress } = build
  const idFile = join(scratch, 'id')
  const env = { DOCKER_HOST: `unix://${DOCKER_SOCKET}`, HOME: scratch, DOCKER_CONFIG: scratch }
  const tag = `cove-build-${process.pid}-${Date.now().toString(36)}`
  const tool = { program: docker, env, signal, line: progress }
  try {
    const where = ['--platform', platform, '--file', file, '--iidfile', idFile, '--tag', tag]
    await runTool({ ...tool, args: ['build', ...where, context] })
    await runTool({ ...tool, args: ['save', '--output', archive, tag] })
  } finally {
    const unasked = new AbortController().signal
    await runTool({ ...tool, signal: unasked, line: () => {}, args: ['rmi', tag] }).catch(() => {})
  }
}

async function buildWithBuildah(program: string, file: string, context: string, build: DockerfileBuild): Promise<void> {
  const { scratch, archive, platform, signal, progress } = build
  const store = ['--root', join(scratch, 'root'), '--runroot', join(scratch, 'run'), '--storage-driver', 'vfs']
  const tool = { program, env: { HOME: scratch, TMPDIR: scratch, BUILDAH_ISOLATION: 'chroot' }, signal, line: progress }
  const idFile = join(scratch, 'id')
  await runTool({
    ...tool,
    args: [...store, 'bud', '--platform', platform, '--file', file, '--iidfile', idFile, '--tag', 'cove', context],
  })
  await runTool({ ...tool, args: [...store, 'push', 'localhost/cove:latest', `docker-archive:${archive}`] })
}

/** The file, and the folder whose files it may copy. */
async function locate(path: string): Promise<[string, string]> {
  const facts = await stat(path)
  if (!facts.isDirectory()) return [path, dirname(path)]
  for (const name of ['Dockerfile', 'Containerfile']) {
    const file = join(path, name)
    if (await isThere(file)) return [file, path]
  }
  throw new CoveError('image-not-found', `there is no Dockerfile in ${path}`, { path })
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}
