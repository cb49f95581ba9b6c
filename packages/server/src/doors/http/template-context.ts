import type { Principal } from '../../auth/principal.ts'
import type { Templates } from '../../templates/templates.ts'
import { CoveError } from '@cove/domain'
import { clientSignal, type Exchange } from '../exchange.ts'
import { StatusError } from '../json-error.ts'
import { uploadBody } from './upload-body.ts'

/** `HEAD`: whether the archive is here, so that it need not be sent. */
export async function headContext(
  { response }: Exchange,
  templates: Templates,
  caller: Principal,
  digest: string,
): Promise<void> {
  if (!(await templates.hasContext(caller, digest))) {
    throw new StatusError(404, new CoveError('invalid-argument', 'this build context is not here', { field: 'digest' }))
  }
  response.statusCode = 200
  response.setHeader('content-length', 0)
  response.end()
}

/** `PUT`: takes the archive, of any size up to the bound; 204 when it is here, also when it was before. */
export async function putContext(
  { request, response }: Exchange,
  templates: Templates,
  caller: Principal,
  digest: string,
  stalledMs: number,
): Promise<void> {
  await templates.putContext(caller, digest, uploadBody(request, stalledMs), clientSignal(response, caller.ended))
  response.statusCode = 204
  response.end()
}
