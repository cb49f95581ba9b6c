import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Why nix cannot be tried here; undefined when it can. */
export function missingForNix(): string | undefined {
  return existsSync('/usr/bin/nix') ? undefined : 'nix is not installed (package nix-bin)'
}

/** A real nix with a store of its own, that asks nobody, and a flake to play with. */
export class TestNix implements Disposable {
  static readonly program = '/usr/bin/nix'
  readonly folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  readonly flake = join(this.folder, 'flake')
  readonly env: Readonly<Record<string, string>>

  constructor() {
    mkdirSync(this.flake)
    mkdirSync(join(this.folder, 'home'))
    this.env = {
      HOME: join(this.folder, 'home'),
      PATH: '/usr/bin:/bin',
      NIX_STORE_DIR: join(this.folder, 'nix/store'),
      NIX_STATE_DIR: join(this.folder, 'nix/state'),
      NIX_LOG_DIR: join(this.folder, 'nix/log'),
      NIX_CONFIG: [
        'sandbox = false',
        'substitute = false',
        'build-users-group =',
        'filter-syscalls = false',
        'flake-registry =',
      ].join('\n'),
    }
    this.writeFlake({ FOO: 'bar', PATH: '/usr/bin:/bin' })
  }

  /** A shell with these variables and no inputs, so that nothing is fetched. */
  writeFlake(variables: Readonly<Record<string, string>>): void {
    const lines = Object.entries(variables).map(([name, value]) => `      ${name} = ${JSON.stringify(value)};`)
    const system = process.arch === 'arm64' ? 'aarch64-linux' : 'x86_64-linux'
    writeFileSync(
      join(this.flake, 'flake.nix'),
      `{
  outputs = { self }: {
    devShells.${system}.default = derivation {
      name = "shell";
      system = "${system}";
      builder = "/bin/bash";
      args = [ "-c" "echo built > $out" ];
      outputs = [ "out" ];
${lines.join('\n')}
    };
  };
}
`,
    )
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}
