import { CoveError } from '@cove/domain'
import { PLAIN_USER, ROOT_USER, type FakeUser } from './fake-files.ts'

export function fakeUser(name: string | undefined): FakeUser {
  switch (name) {
    case undefined:
    case PLAIN_USER.name:
      return PLAIN_USER
    case ROOT_USER.name:
      return ROOT_USER
    default:
      throw new CoveError('user-not-found', `no user ${name}`)
  }
}
