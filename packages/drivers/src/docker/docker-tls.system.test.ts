import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findEngineAddress } from '@cove/docker-engine'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../test/support/free-port.ts'
import { noDocker, openDockerRig, type DockerRig } from '../../test/support/docker-rig.ts'
import { Stage } from '../conformance/index.ts'

const OPENSSL = '/usr/bin/openssl'
const missing = noDocker ?? (existsSync(OPENSSL) ? undefined : 'openssl is not installed')
if (missing !== undefined) console.log(`skipped: a Docker Engine over TLS: ${missing}`)

const openssl = (...words: readonly string[]) => execFileSync(OPENSSL, words, { stdio: 'ignore' })

describe.skipIf(missing !== undefined)('a Docker Engine over TLS', () => {
  let folder: string
  let env: Readonly<Record<string, string>>
  let rig: DockerRig
  const stage = new Stage(async () => {
    rig = await openDockerRig({
      flags: [
        `--host=${env['DOCKER_HOST']}`,
        '--tlsverify',
        `--tlscacert=${join(folder, 'ca.pem')}`,
        `--tlscert=${join(folder, 'server.pem')}`,
        `--tlskey=${join(folder, 'server-key.pem')}`,
      ],
      address: await findEngineAddress(env),
    })
    return rig
  })

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
    const port = await freePort()
    env = { DOCKER_HOST: `tcp://127.0.0.1:${port}`, DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: folder }
    await makeCertificates(folder)
    await stage.open()
  })
  afterAll(async () => {
    await stage.close()
    await rm(folder, { recursive: true })
  })

  it('runs machines for who has a certificate', async () => {
    const machine = await stage.create()
    const link = await stage.link(machine)
    expect((await stage.shell(link, 'echo over tls')).stdout).toBe('over tls\n')
    expect(await stage.clear()).toEqual([])
  })

  it('is not there for anybody else, and the driver says so', async () => {
    const stranger = await mkdtemp(join(tmpdir(), 'cove-test-'))
    try {
      await makeCertificates(stranger)
      await writeFile(join(stranger, 'ca.pem'), await readFile(join(folder, 'ca.pem')))
      const address = await findEngineAddress({ ...env, DOCKER_CERT_PATH: stranger })
      const driver = rig.open({ address })
      const fingerprint = await driver.fingerprint(AbortSignal.timeout(10_000))
      await driver.close()
      expect(fingerprint).toMatchObject({ proven: false, reason: expect.not.stringContaining('altnames') })
      expect(fingerprint).toMatchObject({ fix: expect.stringMatching(/DOCKER_HOST/) })
    } finally {
      await rm(stranger, { recursive: true })
    }
  })
})

/** An authority of its own, and a certificate of it for each side. */
async function makeCertificates(folder: string): Promise<void> {
  const file = (name: string) => join(folder, name)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    file('ca-key.pem'),
    '-out',
    file('ca.pem'),
    '-subj',
    '/CN=ca',
    '-days',
    '2',
  )
  for (const [name, usage] of [
    ['server', 'serverAuth'],
    ['client', 'clientAuth'],
  ] as const) {
    await writeFile(file(`${name}.ext`), `subjectAltName=IP:127.0.0.1\nextendedKeyUsage=${usage}\n`)
    openssl('req', ...key, '-keyout', file(`${name}-key.pem`), '-out', file(`${name}.csr`), '-subj', `/CN=${name}`)
    const signed = ['-CA', file('ca.pem'), '-CAkey', file('ca-key.pem'), '-CAcreateserial', '-days', '2']
    openssl(
      'x509',
      '-req',
      '-in',
      file(`${name}.csr`),
      ...signed,
      '-extfile',
      file(`${name}.ext`),
      '-out',
      file(`${name}.pem`),
    )
  }
  await writeFile(file('cert.pem'), await readFile(file('client.pem')))
  await writeFile(file('key.pem'), await readFile(file('client-key.pem')))
}
