import { CoveError } from '@cove/domain'
import { PLAIN_USER, ROOT_USER, type FakeUser } from './fake-files.ts'

/** By name or number, with `:group` behind it or without; nobody named: the one that `configure` gave. */
export function fakeUser(name: string | undefined, standard: string | undefined): FakeUser {
  const asked = (name ?? standard)?.split(':')[0]
  switch (asked) {
    case undefined:
    case PLAIN_USER.name:
    case String(PLAIN_USER.uid):
      return PLAIN_USER
    case ROOT_USER.name:
    case String(ROOT_USER.uid):
      return ROOT_USER
    default:
      throw new CoveError('user-not-found', `there is no user ${asked}`)
  }
}
