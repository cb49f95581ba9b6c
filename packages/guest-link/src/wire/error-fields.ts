import { CoveError } from '@cove/domain'
import { FieldsWriter, type Fields } from '@cove/frames'
import { ERROR } from './tags.ts'

const MAX_MESSAGE = 1024

/** The error in a `CLOSE`; undefined when all is well. */
export function readError(fields: Fields): CoveError | undefined {
  const code = fields.bytes(ERROR.code)
  if (code === undefined) return undefined
  // What a guest says is shown to people: bounded, and never more than one line of printable text.
  const message = (fields.bytes(ERROR.message) ?? Buffer.alloc(0)).toString('utf8', 0, MAX_MESSAGE)
  const printable = message.replaceAll(/\p{Cc}+/gu, ' ').trim()
  const errno = fields.number(ERROR.errno)
  return CoveError.fromWire(
    code.toString('latin1', 0, 64),
    printable === '' ? 'the guest refused' : printable,
    errno === undefined ? {} : { errno },
  )
}

export function writeError(error: CoveError): FieldsWriter {
  const errno = error.context['errno']
  return new FieldsWriter()
    .text(ERROR.code, error.code)
    .text(ERROR.message, error.message)
    .number(ERROR.errno, typeof errno === 'number' ? errno : undefined)
}
