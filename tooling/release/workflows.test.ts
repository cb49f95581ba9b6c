import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'

const ROOT = join(import.meta.dirname, '../..')

interface Workflow {
  readonly permissions: Readonly<Record<string, string>>
  readonly on: Readonly<Record<string, unknown>>
  readonly jobs: Readonly<
    Record<
      string,
      {
        readonly permissions?: Readonly<Record<string, string>>
        readonly 'timeout-minutes'?: number
        readonly steps: readonly { readonly uses?: string; readonly run?: string; readonly with?: object }[]
      }
    >
  >
}

const folder = join(ROOT, '.github/workflows')
const workflows = readdirSync(folder).map(
  (name) => [name, parse(readFileSync(join(folder, name), 'utf8')) as Workflow] as const,
)

describe.each(workflows)('the workflow %s', (name, workflow) => {
  const jobs = Object.entries(workflow.jobs)
  const steps = jobs.flatMap(([, { steps: all }]) => all)

  it('pins every action by commit, and says which release that is', () => {
    const text = readFileSync(join(folder, name), 'utf8')
    const used = steps.map(({ uses }) => uses).filter((uses) => uses !== undefined)
    expect(used.length).toBeGreaterThan(0)
    for (const uses of used) {
      expect(uses).toMatch(/@[0-9a-f]{40}$/)
      expect(text).toMatch(new RegExp(`${uses.replaceAll(/[/.]/g, '\\$&')} # v\\d+\\.\\d+\\.\\d+\\n`))
    }
  })

  it('has no rights but those that a job asks for, and no job that may do everything', () => {
    const atTop = Object.values(workflow.permissions)
    expect(atTop.every((right) => right === 'read')).toBe(true)
    const writes = (job: string) =>
      Object.keys(workflow.jobs[job]?.permissions ?? {}).filter(
        (right) => workflow.jobs[job]?.permissions?.[right] === 'write',
      )
    const names = jobs.map(([job]) => job)
    // Only who builds runs code of dependencies.
    expect(names.filter((job) => ['build', 'everything'].includes(job)).flatMap(writes)).toEqual([])
    // Who may change the repository may do nothing else.
    expect(names.map(writes).filter((rights) => rights.includes('contents') && rights.length > 1)).toEqual([])
  })

  it('ends, and lets no token lie about', () => {
    for (const [, { 'timeout-minutes': limit }] of jobs) expect(limit).toBeGreaterThan(0)
    for (const step of steps.filter(({ uses }) => uses?.startsWith('actions/checkout@'))) {
      expect(step.with).toMatchObject({ 'persist-credentials': false })
    }
  })

  it('puts nothing that others may choose into a shell', () => {
    for (const { run = '' } of steps) expect(run).not.toContain('${{')
  })
})

describe('the release workflow', () => {
  const [, workflow] = workflows.find(([name]) => name === 'release.yml') ?? []

  it('runs for tags of versions only', () => {
    expect(workflow?.on).toEqual({ push: { tags: ['v[0-9]+.[0-9]+.[0-9]+'] } })
  })

  it('has everything tested before anything is published', () => {
    const build = JSON.stringify(workflow?.jobs['build'])
    expect(build).toContain('.ci/run')
    for (const job of ['attest', 'npm', 'image', 'page']) {
      expect(JSON.stringify(workflow?.jobs[job])).toMatch(/"needs":(?:"build"|\["build"|\["npm")/)
    }
  })
})

describe('the container image', () => {
  const text = readFileSync(join(ROOT, 'Containerfile'), 'utf8')
  const lines = text.replaceAll('\\\n', ' ').split('\n')
  const all = (word: string) => lines.filter((line) => line.startsWith(`${word} `))

  it('does not run as root, and says so by number', () => {
    expect(all('USER')).toEqual(['USER 10001:10001'])
    expect(lines.findIndex((line) => line.startsWith('USER '))).toBeGreaterThan(
      lines.findLastIndex((line) => line.startsWith('RUN ')),
    )
  })

  it('starts from Debian 12 and leaves no package lists behind', () => {
    expect(text).toContain('ARG BASE=docker.io/library/debian:12-slim')
    for (const run of all('RUN').filter((line) => line.includes('apt-get'))) {
      expect(run).toMatch(/--no-install-recommends.*rm -rf \/var\/lib\/apt\/lists/)
    }
  })

  it('tells whether it is well, keeps its data in a volume, and listens for others', () => {
    expect(all('HEALTHCHECK')).toHaveLength(1)
    expect(all('VOLUME').join()).toContain('/var/lib/cove')
    expect(all('CMD')).toEqual(['CMD ["up", "--no-install", "--listen", "0.0.0.0:8080"]'])
    expect(all('EXPOSE')).toEqual(['EXPOSE 8080'])
  })

  it('takes from outside only what its folder is filled with', () => {
    const filler = readFileSync(join(ROOT, 'tooling/release/image-context.sh'), 'utf8')
    expect(all('COPY')).toEqual(['COPY --chmod=0755 node-${TARGETARCH} /usr/local/bin/node'])
    expect(all('ADD')).toEqual(['ADD cove-sandboxes.tgz /opt/cove/'])
    for (const name of ['node-$machine', 'cove-sandboxes.tgz']) expect(filler).toContain(`"$image/${name}"`)
  })
})
