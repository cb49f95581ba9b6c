import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { inRoot, missingForStore, quietly, StorePlace } from '../../test/test-store.ts'

const missing = missingForStore()
const has = (program: string) => existsSync(`/usr/bin/${program}`) || existsSync(`/usr/sbin/${program}`)
const without = (program: string) => {
  const why = missing ?? (has(program) ? undefined : `${program} is not installed`)
  if (why !== undefined) console.warn(`images by ${program}: skipped, ${why}`)
  return why !== undefined
}
/** Building one takes minutes on a busy machine. */
const PATIENCE = { timeout: 300_000 }

const mounts = ({ folder }: StorePlace) => {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(folder))
}

describe.skipIf(without('mmdebstrap'))('Debian packages', () => {
  it('become an image, told step by step, and leave nothing when they are given up', PATIENCE, async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    const said: string[] = []
    const stop = new AbortController()
    const given = store.fetch('debian:bookworm', {
      signal: stop.signal,
      progress: ({ step }) => {
        said.push(step)
        if (/download|extract/.test(step)) stop.abort()
      },
    })
    await expect(given).rejects.toMatchObject({ code: 'cancelled' })
    for (const folder of ['l', 'work', 'configs']) expect(place.names(folder)).toEqual([])
    expect(mounts(place)).toEqual([])
    using lease = await store.fetch('debian:bookworm+busybox-static', quietly())
    expect(lease.info.defaults.env['PATH']).toContain('/usr/bin')
    expect(
      await inRoot(place, lease.root, 'chroot . busybox | head -1 | cut -c1-7; cut -d. -f1 etc/debian_version'),
    ).toBe('BusyBox\n12')
    expect(await inRoot(place, lease.root, 'ls -A dev run; ls etc/resolv.conf etc/hostname 2>/dev/null || true')).toBe(
      'dev:\n\nrun:\nlock',
    )
    using again = await store.fetch('debian:bookworm+busybox-static', quietly())
    expect(again.info.id).toBe(lease.info.id)
    expect(mounts(place)).toEqual([])
  })

  it('that there are not are said to be missing', PATIENCE, async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    await expect(store.fetch('debian:bookworm+there-is-no-such-package', quietly())).rejects.toMatchObject({
      code: 'io-error',
      message: expect.stringContaining('there-is-no-such-package'),
    })
    expect(place.names('l')).toEqual([])
  })
})

describe.skipIf(without('buildah'))('a Dockerfile', () => {
  it('becomes an image', PATIENCE, async () => {
    await using place = new StorePlace()
    await using store = await place.open()
    const folder = place.tree('build', {
      Dockerfile: 'FROM scratch\nCOPY hello /etc/hello\nENV A=b\nCMD ["/bin/app"]\n',
      hello: 'world',
    })
    using lease = await store.fetch(`dockerfile:${folder}`, quietly())
    expect(lease.info.defaults).toMatchObject({ env: { A: 'b' }, command: ['/bin/app'] })
    expect(await inRoot(place, lease.root, 'cat etc/hello')).toBe('world')
    expect(place.names('work')).toEqual([])
    const broken = place.tree('broken', { Dockerfile: 'FROM scratch\nCOPY nothing /\n' })
    await expect(store.fetch(`dockerfile:${broken}`, quietly())).rejects.toMatchObject({ code: 'io-error' })
    expect(place.names('work')).toEqual([])
  })

  it('may be built by somebody else', async () => {
    await using place = new StorePlace()
    const archive = place.tar('x.tar', { a: '1' })
    const built: string[] = []
    await using store = await place.open({
      buildDockerfile: async (build) => {
        built.push(build.path)
        build.progress('building')
        execFileSync('cp', [archive, build.archive])
      },
    })
    const folder = place.tree('build', { Dockerfile: 'FROM scratch\n' })
    await expect(store.fetch(`dockerfile:${folder}`, quietly())).rejects.toMatchObject({ code: 'image-invalid' })
    expect(built).toEqual([folder])
    expect(readdirSync(`${place.state}/work`)).toEqual([])
  })
})
