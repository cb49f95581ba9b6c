import { createClient, type Transport } from '@connectrpc/connect'
import type { DescService } from '@bufbuild/protobuf'
import { MethodOptions_IdempotencyLevel } from '@bufbuild/protobuf/wkt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as api from '@cove/api'
import { Role } from '@cove/api'
import { auditRule, onlyLooks } from '../audit/audited-methods.ts'
import { transport } from '../../test/support/clients.ts'
import { codeOf } from '../../test/support/code-of.ts'
import { KEY, openHouse, type House } from '../../test/support/harness.ts'
import { callerOf, makeKey } from '../../test/support/identity.ts'
import { isDecided } from './permissions.ts'

const isService = (value: unknown): value is DescService =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'service'

const EXPORTED: readonly unknown[] = Object.values(api)
const SERVICES = EXPORTED.filter(isService).toSorted((a, b) => (a.typeName < b.typeName ? -1 : 1))

/**
 * Who may call what: `v` viewer, `m` member, `a` admin, `V` and `M` a token of the sandbox with the role viewer or
 * member, about that sandbox. The operator may everything.
 */
const MAY: Readonly<Record<string, string>> = {
  'FileService/StatFile': 'vmaVM',
  'FileService/ListFiles': 'vmaVM',
  'FileService/MakeDirectory': 'maM',
  'FileService/MoveFile': 'maM',
  'FileService/RemoveFile': 'maM',
  'FileService/ChangeMode': 'maM',
  'FileService/MakeSymlink': 'maM',
  'FileService/WatchFiles': 'vmaVM',
  'FileService/SignFileUrl': 'vmaVM',
  'IdentityService/GetCaller': 'vmaVM',
  'IdentityService/CreateProject': '',
  'IdentityService/ListProjects': 'vmaVM',
  'IdentityService/DeleteProject': '',
  'IdentityService/CreateKey': 'a',
  'IdentityService/ListKeys': 'a',
  'IdentityService/RevokeKey': 'a',
  'IdentityService/CreateSandboxToken': 'ma',
  'IdentityService/ListAuditEvents': 'a',
  'PortService/ListPorts': 'vmaVM',
  'PortService/SharePort': 'maM',
  'PortService/UnsharePort': 'maM',
  'PortService/CreatePreviewUrl': 'vmaVM',
  'ProcessService/StartProcess': 'maM',
  'ProcessService/RunProcess': 'maM',
  'ProcessService/AttachProcess': 'vmaVM',
  'ProcessService/ListProcesses': 'vmaVM',
  'ProcessService/WriteStdin': 'maM',
  'ProcessService/SignalProcess': 'maM',
  'ProcessService/ResizeTerminal': 'maM',
  'SandboxService/CreateSandbox': 'ma',
  'SandboxService/GetSandbox': 'vmaVM',
  'SandboxService/ListSandboxes': 'vmaVM',
  'SandboxService/WatchSandboxes': 'vmaVM',
  'SandboxService/StopSandbox': 'maM',
  'SandboxService/StartSandbox': 'maM',
  'SandboxService/UpdateSandboxTimeouts': 'maM',
  'SandboxService/PauseSandbox': 'maM',
  'SandboxService/ResumeSandbox': 'maM',
  'SandboxService/ForkSandbox': 'ma',
  'SandboxService/UpdateSandboxLimits': 'maM',
  'SandboxService/GetSandboxStats': 'vmaVM',
  'SandboxService/DeleteSandbox': 'maM',
  'VolumeService/CreateVolume': 'ma',
  'VolumeService/GetVolume': 'vma',
  'VolumeService/ListVolumes': 'vma',
  'VolumeService/DeleteVolume': 'ma',
  // Of the node itself: for the operator.
  'ImageService/ListImages': '',
  'ImageService/PullImage': 'ma',
  'ImageService/DeleteImage': '',
  'ImageService/PruneImages': '',
  'PoolService/SetPool': 'a',
  'PoolService/ListPools': 'vma',
  'PoolService/DeletePool': 'a',
  'SnapshotService/CreateSnapshot': 'ma',
  'SnapshotService/GetSnapshot': 'vma',
  'SnapshotService/ListSnapshots': 'vma',
  'SnapshotService/DeleteSnapshot': 'ma',
  'SystemService/GetStatus': 'vmaVM',
  'SystemService/Diagnose': 'a',
  'TemplateService/ListTemplates': 'vmaVM',
  'TemplateService/GetTemplate': 'vmaVM',
  'TemplateService/BuildTemplate': 'ma',
  'TemplateService/FollowBuild': 'vma',
  'TemplateService/CancelBuild': 'ma',
  'TemplateService/DeleteTemplate': 'ma',
}

const METHODS = SERVICES.flatMap((service) =>
  service.methods.map((method) => ({
    service,
    method,
    name: `${service.typeName.slice('cove.v1.'.length)}/${method.name}`,
  })),
)

describe('every method', () => {
  test('of every service is in the table', () => {
    expect(METHODS.map(({ name }) => name).toSorted()).toEqual(Object.keys(MAY).toSorted())
  })

  test.each(METHODS)('$name has a role, and is written down or only looks', ({ service, method }) => {
    expect(isDecided(service.typeName, method.name)).toBe(true)
    const looks =
      method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS || onlyLooks(service.typeName, method.name)
    expect(auditRule(service.typeName, method.name) !== undefined).toBe(!looks)
  })
})

describe('who calls', () => {
  let house: House
  const callers = new Map<string, Transport>()
  let sandbox = ''

  beforeAll(async () => {
    house = await openHouse()
    const base = await house.listen()
    const operator = callerOf(base, KEY)
    sandbox = (await operator.sandboxes.createSandbox({ name: 'box' })).sandbox?.id ?? ''
    const keyOf = async (role: Role) => transport(base, 'grpc over h2c', (await makeKey(operator, { role })).secret)
    const tokenOf = async (role: Role) => {
      const { token } = await operator.identity.createSandboxToken({ sandbox: 'box', role })
      return transport(base, 'grpc over h2c', token)
    }
    callers.set('v', await keyOf(Role.VIEWER))
    callers.set('m', await keyOf(Role.MEMBER))
    callers.set('a', await keyOf(Role.ADMIN))
    callers.set('V', await tokenOf(Role.VIEWER))
    callers.set('M', await tokenOf(Role.MEMBER))
  })
  afterAll(() => house[Symbol.asyncDispose]())

  const CASES = METHODS.flatMap((one) => ['v', 'm', 'a', 'V', 'M'].map((caller) => ({ ...one, caller })))

  test.each(CASES)('$caller gets no further with $name than it may', async ({ service, method, name, caller }) => {
    const way = callers.get(caller)
    if (way === undefined) throw new Error('no such caller')
    const code = await attempt(way, service, method.localName, { sandbox, id: 'nobox' })
    expect(code === 'permission-denied' ? '' : caller).toBe(MAY[name]?.includes(caller) === true ? caller : '')
  })
})

/** Asks for as little as there can be: whoever may is told what is wrong with that, and changes nothing. */
async function attempt(way: Transport, service: DescService, method: string, request: object): Promise<string> {
  const ending = new AbortController()
  const client = createClient(service, way) as Readonly<Record<string, (request: object, options: object) => unknown>>
  try {
    const answer = client[method]?.(request, { signal: ending.signal })
    if (answer instanceof Promise) await answer
    else for await (const _message of answer as AsyncIterable<unknown>) break
    return 'ok'
  } catch (error) {
    return codeOf(error)
  } finally {
    ending.abort()
  }
}
