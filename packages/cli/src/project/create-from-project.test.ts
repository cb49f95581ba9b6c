import { expect, it } from 'vitest'
import { projectOptions } from './create-from-project.ts'
import { readProject } from './read-project.ts'

const found = (text: string) => ({
  path: '/shop/cove.yaml',
  directory: '/shop',
  project: readProject(text, '/shop/cove.yaml'),
})

it('takes what the file says, and over it what the command line says', () => {
  const project = found('{driver: bubblewrap, name: shop, env: {A: 1, B: 2}, limits: {memory: 1GiB, cpus: 1}}')
  const flags = { env: { B: '3' }, limits: { cpus: 2 } }
  expect(projectOptions(project, flags, true)).toMatchObject({
    driver: 'bubblewrap',
    name: 'shop',
    env: { A: '1', B: '3' },
    limits: { memoryBytes: 1024 ** 3, cpus: 2 },
  })
  expect(projectOptions(project, { driver: 'native' }, false)).toMatchObject({ driver: 'native' })
  expect(projectOptions(project, flags, false)).not.toHaveProperty('name')
})

it('lets no file take the wall away, only who types it', () => {
  const project = found('driver: native')
  expect(() => projectOptions(project, {}, false)).toThrow(
    expect.objectContaining({ code: 'config-invalid', fix: expect.stringContaining('--driver native') as string }),
  )
  expect(projectOptions(project, { driver: 'native' }, false).driver).toBe('native')
  expect(projectOptions(project, { driver: 'bubblewrap' }, false).driver).toBe('bubblewrap')
})

it('lets no file take files of the machine, only who types it', () => {
  const project = found('template: directory:/root')
  expect(() => projectOptions(project, {}, false)).toThrow(
    expect.objectContaining({ code: 'config-invalid', fix: expect.stringContaining('--template') as string }),
  )
  expect(projectOptions(project, { template: 'directory:/root' }, false).template).toBe('directory:/root')
  expect(projectOptions(found('template: oci:alpine:3.20'), {}, false).template).toBe('oci:alpine:3.20')
})
