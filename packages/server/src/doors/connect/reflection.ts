import { createRegistry, toBinary, type DescFile, type DescService, type Registry } from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { Code, type ServiceImpl } from '@connectrpc/connect'
import type { ServerReflection, ServerReflectionAlpha, ServerReflectionRequest } from '@cove/api/grpc'

/** What is the same in both versions of the protocol. */
type Asked = { readonly [Field in 'messageRequest']: WithoutType<ServerReflectionRequest[Field]> }
type WithoutType<Choice> = Choice extends { case: infer Case; value: infer Value }
  ? { case: Case; value: Value extends string ? string : Omit<Value, '$typeName'> }
  : Choice

type Answer =
  | { case: 'fileDescriptorResponse'; value: { fileDescriptorProto: Uint8Array[] } }
  | { case: 'allExtensionNumbersResponse'; value: { baseTypeName: string; extensionNumber: number[] } }
  | { case: 'listServicesResponse'; value: { service: { name: string }[] } }
  | { case: 'errorResponse'; value: { errorCode: number; errorMessage: string } }

interface Reflection {
  readonly v1: ServiceImpl<typeof ServerReflection>
  readonly v1alpha: ServiceImpl<typeof ServerReflectionAlpha>
}

/**
 * gRPC's server reflection, so that `grpcurl`, `buf curl` and the like need no protobuf files. Source:
 * https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
 */
export function reflectionServices(services: readonly DescService[]): Reflection {
  const files = new Map<string, DescFile>()
  for (const { file } of services) collect(file, files)
  const registry = createRegistry(...files.values())
  const answer = (asked: Asked): Answer => answerOne(asked, services, files, registry)
  return {
    v1: {
      async *serverReflectionInfo(requests) {
        for await (const asked of requests) {
          yield { validHost: asked.host, originalRequest: asked, messageResponse: answer(asked) }
        }
      },
    },
    v1alpha: {
      async *serverReflectionInfo(requests) {
        for await (const asked of requests) {
          yield { validHost: asked.host, originalRequest: asked, messageResponse: answer(asked) }
        }
      },
    },
  }
}

function answerOne(
  { messageRequest: { case: kind, value } }: Asked,
  services: readonly DescService[],
  files: ReadonlyMap<string, DescFile>,
  registry: Registry,
): Answer {
  switch (kind) {
    case 'listServices': {
      const service = services
        .map(({ typeName }) => ({ name: typeName }))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      return { case: 'listServicesResponse', value: { service } }
    }
    case 'fileByFilename':
      return describe(files.get(value), value)
    case 'fileContainingSymbol':
      return describe(fileOf(value, registry), value)
    case 'allExtensionNumbersOfType':
      if (registry.getMessage(value) === undefined) return notFound(value)
      return { case: 'allExtensionNumbersResponse', value: { baseTypeName: value, extensionNumber: [] } }
    case 'fileContainingExtension':
      return notFound(`extension ${value.extensionNumber} of ${value.containingType}`)
    case undefined:
      return refuse(Code.InvalidArgument, 'the request asks for nothing')
  }
}

/** The file of a type, or of a method or field, whose name ends in its own. */
function fileOf(symbol: string, registry: Registry): DescFile | undefined {
  const found = registry.get(symbol)
  if (found !== undefined) return found.file
  const dot = symbol.lastIndexOf('.')
  const parent = registry.get(symbol.slice(0, dot))
  const name = symbol.slice(dot + 1)
  if (parent?.kind === 'service' && parent.methods.some((method) => method.name === name)) return parent.file
  if (parent?.kind === 'message' && parent.members.some((member) => member.name === name)) return parent.file
  return undefined
}

function describe(file: DescFile | undefined, asked: string): Answer {
  if (file === undefined) return notFound(asked)
  const all = new Map<string, DescFile>()
  collect(file, all)
  const fileDescriptorProto = [...all.values()].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto))
  return { case: 'fileDescriptorResponse', value: { fileDescriptorProto } }
}

/** The file and everything that it imports, the file first. */
function collect(file: DescFile, into: Map<string, DescFile>): void {
  if (into.has(file.proto.name)) return
  into.set(file.proto.name, file)
  for (const imported of file.dependencies) collect(imported, into)
}

function notFound(asked: string): Answer {
  return refuse(Code.NotFound, `there is no ${JSON.stringify(asked.slice(0, 200))}`)
}

function refuse(errorCode: Code, errorMessage: string): Answer {
  return { case: 'errorResponse', value: { errorCode, errorMessage } }
}
