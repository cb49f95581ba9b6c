import { createHash } from 'node:crypto'
import type { Dependency } from './dependencies.ts'
import type { NativePart } from './native-parts.ts'

export interface SbomInput {
  readonly name: string
  readonly version: string
  readonly dependencies: readonly Dependency[]
  readonly native: readonly NativePart[]
  /** Our own: machine and name (`linux-x64/cove-guest`) to SHA-256 in hexadecimal. */
  readonly programs: ReadonlyMap<string, string>
}

/**
 * CycloneDX 1.6 of what the package contains: what is really in the bundle, not what a lockfile might have brought. The
 * same input gives the same bytes, so it has no time, and its serial number is made from its content.
 */
export function sbom({ name, version, dependencies, native, programs }: SbomInput): string {
  const reference = `pkg:npm/${name}@${version}`
  const bundled = dependencies.map((dependency) => ({
    type: 'library',
    'bom-ref': purl(dependency),
    name: dependency.name,
    version: dependency.version,
    licenses: [{ expression: dependency.license }],
    purl: purl(dependency),
    hashes: [
      { alg: 'SHA-512', content: Buffer.from(dependency.integrity.slice('sha512-'.length), 'base64').toString('hex') },
    ],
  }))
  const linked = native.map((part) => ({
    type: 'library',
    'bom-ref': `linked:${part.name}@${part.version}`,
    name: part.name,
    version: part.version,
    licenses: [{ expression: part.license }],
  }))
  const own = [...programs].map(([path, sum]) => {
    const [machine = '', program = ''] = path.split('/')
    return {
      type: 'application',
      'bom-ref': `${program}:${machine}@${version}`,
      name: program,
      version,
      description: `${program} for ${machine}`,
      licenses: [{ expression: 'Apache-2.0' }],
      hashes: [{ alg: 'SHA-256', content: sum }],
      properties: [{ name: 'cove:path', value: `guest/${path}` }],
    }
  })
  const components = [...bundled, ...linked, ...own]
  const byName = new Map(dependencies.map((dependency) => [dependency.name, purl(dependency)]))
  const needed = new Set(dependencies.flatMap(({ needs }) => needs))
  const roots = dependencies.filter((dependency) => !needed.has(dependency.name)).map(purl)
  const graph = [
    { ref: reference, dependsOn: [...roots, ...own.map((program) => program['bom-ref'])] },
    ...dependencies.map((dependency) => ({
      ref: purl(dependency),
      dependsOn: dependency.needs.map((other) => byName.get(other)).filter((ref) => ref !== undefined),
    })),
    ...own.map((program) => ({ ref: program['bom-ref'], dependsOn: linked.map((part) => part['bom-ref']) })),
    ...linked.map((part) => ({ ref: part['bom-ref'], dependsOn: [] })),
  ]
  const content = {
    metadata: {
      component: {
        type: 'application',
        'bom-ref': reference,
        name,
        version,
        licenses: [{ expression: 'Apache-2.0' }],
        purl: reference,
      },
    },
    components,
    dependencies: graph,
  }
  return `${JSON.stringify({ ...HEAD, serialNumber: serialNumber(JSON.stringify(content)), version: 1, ...content }, null, 2)}\n`
}

const HEAD = { $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json', bomFormat: 'CycloneDX', specVersion: '1.6' }

const purl = ({ name, version }: Dependency): string => `pkg:npm/${name.replace('@', '%40')}@${version}`

/** A name-based UUID (version 8) of the content. */
function serialNumber(content: string): string {
  const digest = createHash('sha256').update(content).digest()
  digest.writeUInt8(((digest[6] ?? 0) & 0x0f) | 0x80, 6)
  digest.writeUInt8(((digest[8] ?? 0) & 0x3f) | 0x80, 8)
  const hex = digest.toString('hex')
  return `urn:uuid:${[hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-')}`
}
