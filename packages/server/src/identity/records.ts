import { CoveError, ROLES, type Role } from '@cove/domain'

/** A project. Its id tells it apart from an earlier or later one of the same name. */
export interface ProjectRecord {
  readonly id: string
  readonly name: string
  readonly description: string
  /** Unix milliseconds. */
  readonly createdAt: number
}

/** An API key, without the key itself. */
export interface KeyRecord {
  readonly id: string
  readonly project: string
  /** Id of the project that it was made for: a later project of the same name does not inherit it. */
  readonly projectId: string
  readonly name: string
  readonly role: Role
  /** As `hashKey` made it. */
  readonly hash: string
  /** The first characters of the key. */
  readonly prefix: string
  /** Unix milliseconds, like the other times. */
  readonly createdAt: number
  readonly expiresAt?: number
  readonly revokedAt?: number
}

/** Where the records of identity are. Other keys below it (those that links are signed with) are somebody else's. */
export const ACCESS_PREFIX = 'access/'
const PROJECT = 'access/project/'
const KEY = 'access/key/'

export const projectKey = (name: string): string => PROJECT + name
export const keyKey = (id: string): string => KEY + id
/** Stands for a while when a project is being deleted or has been: nothing is created in it then. */
export const closingKey = (name: string): string => `access/closing/${name}`

/** For whoever would make something in a project while that key is there. */
export const projectClosing = (project: string): CoveError =>
  new CoveError('project-not-found', `project ${project} is being deleted`, { project })

export function kindOfAccessKey(key: string): { readonly kind: 'project' | 'key'; readonly rest: string } | undefined {
  if (key.startsWith(PROJECT)) return { kind: 'project', rest: key.slice(PROJECT.length) }
  if (key.startsWith(KEY)) return { kind: 'key', rest: key.slice(KEY.length) }
  return undefined
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export function encodeAccess(record: ProjectRecord | KeyRecord): Uint8Array {
  return encoder.encode(JSON.stringify(record))
}

export const decodeProject = (key: string, value: Uint8Array): ProjectRecord => parse(key, value, isProject)
export const decodeKey = (key: string, value: Uint8Array): KeyRecord => parse(key, value, isKey)

function parse<Kind>(key: string, value: Uint8Array, guard: (record: unknown) => record is Kind): Kind {
  let record: unknown
  try {
    record = JSON.parse(decoder.decode(value))
  } catch (error) {
    throw new CoveError('store-corrupt', `the record ${key} cannot be read`, { key }, { cause: error })
  }
  if (!guard(record)) throw new CoveError('store-corrupt', `the record ${key} is not what it should be`, { key })
  return record
}

type Json = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
const areTexts = (...values: readonly unknown[]): boolean => values.every((value) => typeof value === 'string')
const isTime = (value: unknown): boolean => value === undefined || Number.isSafeInteger(value)

function isProject(value: unknown): value is ProjectRecord {
  return (
    isObject(value) &&
    areTexts(value['id'], value['name'], value['description']) &&
    Number.isSafeInteger(value['createdAt'])
  )
}

function isKey(value: unknown): value is KeyRecord {
  return (
    isObject(value) &&
    areTexts(value['id'], value['project'], value['projectId'], value['name'], value['prefix']) &&
    typeof value['hash'] === 'string' &&
    /^[0-9a-f]{64}$/.test(value['hash']) &&
    ROLES.some((role) => role === value['role']) &&
    Number.isSafeInteger(value['createdAt']) &&
    isTime(value['expiresAt']) &&
    isTime(value['revokedAt'])
  )
}
