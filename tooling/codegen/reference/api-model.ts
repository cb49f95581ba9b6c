import { readFileSync } from 'node:fs'
import {
  createFileRegistry,
  fromBinary,
  type DescEnum,
  type DescMessage,
  type DescService,
  type FileRegistry,
} from '@bufbuild/protobuf'
import {
  FileDescriptorSetSchema,
  type DescriptorProto,
  type EnumDescriptorProto,
  type FileDescriptorProto,
} from '@bufbuild/protobuf/wkt'

/** The protocol with the comments of its files. */
export interface ApiModel {
  /** Cove's own, in the order of their names. */
  readonly services: readonly DescService[]
  readonly registry: FileRegistry
  /** What stands above a service, method, message, field, enum or value, by full name. Empty when nothing does. */
  readonly comment: (fullName: string) => string
}

/** `image` is what `buf build` writes. */
export function readApi(image: string): ApiModel {
  const set = fromBinary(FileDescriptorSetSchema, readFileSync(image))
  const registry = createFileRegistry(set)
  const comments = new Map<string, string>()
  for (const file of set.file) collectComments(file, comments)
  const services: DescService[] = []
  for (const type of registry) if (type.kind === 'service' && isOurs(type.typeName)) services.push(type)
  services.sort((a, b) => (a.typeName < b.typeName ? -1 : 1))
  return { services, registry, comment: (fullName) => comments.get(fullName) ?? '' }
}

export const isOurs = (typeName: string): boolean => typeName.startsWith('cove.')

/** Every message and enum that the services' messages lead to. */
export function reachable(services: readonly DescService[]): (DescMessage | DescEnum)[] {
  const found = new Map<string, DescMessage | DescEnum>()
  const visit = (type: DescMessage | DescEnum): void => {
    if (found.has(type.typeName) || !isOurs(type.typeName)) return
    found.set(type.typeName, type)
    if (type.kind === 'enum') return
    for (const field of type.fields) {
      if (field.message !== undefined) visit(field.message)
      if (field.enum !== undefined) visit(field.enum)
      if (field.fieldKind === 'map' && field.message !== undefined) visit(field.message)
    }
  }
  for (const { methods } of services) {
    for (const { input, output } of methods) {
      visit(input)
      visit(output)
    }
  }
  return [...found.values()].toSorted((a, b) => (a.typeName < b.typeName ? -1 : 1))
}

/** Field numbers of descriptor.proto, of which the paths of comments are made. */
const IN_FILE = { message: 4, enum: 5, service: 6 } as const
const IN_MESSAGE = { field: 2, message: 3, enum: 4 } as const
const MEMBER = 2

function collectComments(file: FileDescriptorProto, into: Map<string, string>): void {
  const byPath = new Map<string, string>()
  for (const { path, leadingComments } of file.sourceCodeInfo?.location ?? []) {
    if (leadingComments !== '') byPath.set(path.join('.'), tidy(leadingComments))
  }
  const note = (fullName: string, path: readonly number[]): void => {
    const text = byPath.get(path.join('.'))
    if (text !== undefined) into.set(fullName, text)
  }
  const enumeration = (type: EnumDescriptorProto, scope: string, path: readonly number[]): void => {
    note(`${scope}.${type.name}`, path)
    type.value.forEach((value, index) => note(`${scope}.${type.name}.${value.name}`, [...path, MEMBER, index]))
  }
  const message = (type: DescriptorProto, scope: string, path: readonly number[]): void => {
    const name = `${scope}.${type.name}`
    note(name, path)
    type.field.forEach((field, index) => note(`${name}.${field.name}`, [...path, IN_MESSAGE.field, index]))
    type.nestedType.forEach((nested, index) => message(nested, name, [...path, IN_MESSAGE.message, index]))
    type.enumType.forEach((nested, index) => enumeration(nested, name, [...path, IN_MESSAGE.enum, index]))
  }
  file.messageType.forEach((type, index) => message(type, file.package, [IN_FILE.message, index]))
  file.enumType.forEach((type, index) => enumeration(type, file.package, [IN_FILE.enum, index]))
  file.service.forEach((service, index) => {
    const name = `${file.package}.${service.name}`
    note(name, [IN_FILE.service, index])
    service.method.forEach((method, at) => note(`${name}.${method.name}`, [IN_FILE.service, index, MEMBER, at]))
  })
}

function tidy(comment: string): string {
  return comment.replace(/\s*\n\s*/g, ' ').trim()
}
