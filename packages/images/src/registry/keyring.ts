import { CoveError } from '@cove/domain'
import { askHelper } from './credential-helper.ts'
import { DOCKER_HUB_KEY, readDockerLogin } from './docker-config.ts'
import type { Credentials, RegistryOptions } from './registry.ts'

/** What is known of who one is to a registry. */
export interface Login {
  readonly credentials?: Credentials
  /** Why nothing is known though something is configured. It matters only if the registry insists. */
  readonly problem?: CoveError
}

/** Looked up when a registry asks, and anew each time: people log in while Cove runs. */
export class Keyring {
  readonly #options: Pick<RegistryOptions, 'credentials' | 'dockerConfig' | 'helperFolders'>

  constructor(options: Pick<RegistryOptions, 'credentials' | 'dockerConfig' | 'helperFolders'>) {
    this.#options = options
  }

  /** Where `docker login` would write for this Cove, for people. */
  get file(): string | undefined {
    return this.#options.dockerConfig
  }

  async login(registry: string): Promise<Login> {
    const { credentials = {}, dockerConfig, helperFolders } = this.#options
    const own = Object.hasOwn(credentials, registry) ? credentials[registry] : undefined
    if (own !== undefined) return { credentials: own }
    if (dockerConfig === undefined) return {}
    try {
      const login = await readDockerLogin(dockerConfig, registry)
      const server = registry === 'docker.io' ? DOCKER_HUB_KEY : registry
      const asked = login.helper === undefined ? undefined : await askHelper(login.helper, server, helperFolders)
      const found = asked ?? login.credentials
      return found === undefined ? {} : { credentials: found }
    } catch (error) {
      return { problem: CoveError.from(error, 'config-invalid') }
    }
  }
}
