import { IdentityService } from '@cove/api'
import type { CallOptions } from './call-options.ts'
import { projectInfo } from './convert/identity.ts'
import type { ProjectInfo } from './identity-info.ts'
import type { Rpc } from './wire/rpc.ts'

/** What a new project is to be. */
export interface CreateProjectOptions extends CallOptions {
  /** For people. Default: empty. */
  readonly description?: string
}

/**
 * The projects of this Cove: whatever is made belongs to one, and nobody sees those of another. They are the
 * operator's, whoever holds the key that was made at the first start; others are refused with `permission-denied`.
 */
export class Projects {
  readonly #rpc: Rpc

  /** @internal */
  constructor(rpc: Rpc) {
    this.#rpc = rpc
  }

  /** `name`: 1 to 63 of `a` to `z`, `0` to `9` and dash. `already-exists` when there is one of that name. */
  async create(name: string, options: CreateProjectOptions = {}): Promise<ProjectInfo> {
    const request = { name, description: options.description ?? '' }
    const answer = await this.#rpc.unary(IdentityService.method.createProject, request, options)
    return projectInfo(answer.project)
  }

  /** All that the caller may see: the operator every one, others their own. */
  async list(options: CallOptions = {}): Promise<ProjectInfo[]> {
    const answer = await this.#rpc.unary(IdentityService.method.listProjects, {}, options)
    return answer.projects.map(projectInfo)
  }

  /** Its keys end with it. Refused with `wrong-state` while it has live sandboxes. */
  async delete(name: string, options: CallOptions = {}): Promise<void> {
    await this.#rpc.unary(IdentityService.method.deleteProject, { name }, options)
  }
}
