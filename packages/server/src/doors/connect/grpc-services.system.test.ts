import { fromBinary, toJson } from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { createClient } from '@connectrpc/connect'
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
  ServerReflection,
  ServerReflectionAlpha,
  ServerReflectionAlphaResponseSchema,
  ServerReflectionResponseSchema,
} from '@cove/api/grpc'
import { expect, test } from 'vitest'
import { ask, call, transport } from '../../../test/support/clients.ts'
import { openHouse } from '../../../test/support/harness.ts'

type Question = { case: 'listServices' | 'fileByFilename' | 'fileContainingSymbol'; value: string }

async function* asking(questions: readonly Question[]) {
  for (const messageRequest of questions) yield { messageRequest }
}

interface Reply {
  readonly listServicesResponse?: { readonly service: readonly { readonly name: string }[] }
  readonly fileDescriptorResponse?: { readonly fileDescriptorProto: readonly string[] }
  readonly errorResponse?: { readonly errorCode: number }
}

/** The answers as JSON, which is the same for both versions of the protocol. */
async function reflect(base: string, questions: readonly Question[], version: 'v1' | 'v1alpha') {
  const by = transport(base, 'grpc over h2c')
  const answers: Reply[] = []
  if (version === 'v1') {
    for await (const answer of createClient(ServerReflection, by).serverReflectionInfo(asking(questions))) {
      answers.push(toJson(ServerReflectionResponseSchema, answer) as Reply)
    }
  } else {
    for await (const answer of createClient(ServerReflectionAlpha, by).serverReflectionInfo(asking(questions))) {
      answers.push(toJson(ServerReflectionAlphaResponseSchema, answer) as Reply)
    }
  }
  return answers
}

const filesIn = (answer: Reply | undefined): string[] =>
  (answer?.fileDescriptorResponse?.fileDescriptorProto ?? []).map(
    (bytes) => fromBinary(FileDescriptorProtoSchema, Buffer.from(bytes, 'base64')).name,
  )

test.each(['v1', 'v1alpha'] as const)(
  'a client without protobuf files learns the services and their messages by reflection %s',
  async (version) => {
    await using house = await openHouse()
    const base = await house.listen()
    const [list, bySymbol, byMethod, byField, byName, missing] = await reflect(
      base,
      [
        { case: 'listServices', value: '' },
        { case: 'fileContainingSymbol', value: 'cove.v1.SandboxService' },
        { case: 'fileContainingSymbol', value: 'cove.v1.ProcessService.StartProcess' },
        { case: 'fileContainingSymbol', value: 'cove.v1.Sandbox.idle_timeout' },
        { case: 'fileByFilename', value: 'google/protobuf/duration.proto' },
        { case: 'fileContainingSymbol', value: 'cove.v1.Nothing' },
      ],
      version,
    )
    const names = (list?.listServicesResponse?.service ?? []).map(({ name }) => name)
    expect(names).toEqual(names.toSorted())
    expect(names).toEqual(
      expect.arrayContaining([
        'cove.v1.SandboxService',
        'grpc.health.v1.Health',
        `grpc.reflection.${version}.ServerReflection`,
      ]),
    )
    expect(filesIn(bySymbol)).toEqual([
      'cove/v1/sandbox.proto',
      'google/protobuf/duration.proto',
      'google/protobuf/timestamp.proto',
    ])
    expect(filesIn(byMethod)[0]).toBe('cove/v1/process.proto')
    expect(filesIn(byField)[0]).toBe('cove/v1/sandbox.proto')
    expect(filesIn(byName)).toEqual(['google/protobuf/duration.proto'])
    expect(missing?.errorResponse).toMatchObject({ errorCode: 5 })
  },
)

test('strangers learn nothing by reflection, and health is for everybody', async () => {
  await using house = await openHouse()
  const base = await house.listen()
  const reflection = createClient(ServerReflection, transport(base, 'grpc over h2c', 'cove_wrong'))
  await expect(
    Array.fromAsync(reflection.serverReflectionInfo(asking([{ case: 'listServices', value: '' }]))),
  ).rejects.toMatchObject({ code: 16 })

  const health = createClient(Health, transport(base, 'grpc over h2c', 'cove_wrong'))
  expect((await health.check({})).status).toBe(Status.SERVING)
  expect((await health.check({ service: 'cove.v1.SandboxService' })).status).toBe(Status.SERVING)
  await expect(health.check({ service: 'cove.v1.Nothing' })).rejects.toMatchObject({ code: 5 })
  const plain = await ask(`${base}/grpc.health.v1.Health/Check`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
    key: null,
  })
  expect(plain).toMatchObject({ status: 200, json: { status: 'SERVING' } })
  expect((await call(base, 'SandboxService/GetSandbox', {}, { key: null })).status).toBe(401)
})

test('a watch tells when the server stops taking work, and of a service that it does not know', async () => {
  await using house = await openHouse()
  const base = await house.listen()
  const health = createClient(Health, transport(base, 'grpc over h2c'))
  const told: Status[] = []
  const serving = Promise.withResolvers<void>()
  const watching = (async () => {
    for await (const { status } of health.watch({})) {
      told.push(status)
      serving.resolve()
    }
  })()
  for await (const { status } of health.watch({ service: 'cove.v1.Nothing' })) {
    expect(status).toBe(Status.SERVICE_UNKNOWN)
    break
  }
  await serving.promise
  await house.server.close(2_000)
  await watching
  expect(told[0]).toBe(Status.SERVING)
})
