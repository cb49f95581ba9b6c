import { Argument, type Command } from 'commander'
import { SHELL_NAMES, SHELLS, type ShellName } from '../completion/shells.ts'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import type { Run } from './registry.ts'

const INSTALL = `
For this shell only:
  bash        source <(cove completion bash)
  zsh         source <(cove completion zsh)            # after compinit
  fish        cove completion fish | source
  powershell  cove completion powershell | Out-String | Invoke-Expression

For every one from now on:
  bash        cove completion bash > ~/.local/share/bash-completion/completions/cove
  zsh         cove completion zsh > "\${fpath[1]}/_cove"
  fish        cove completion fish > ~/.config/fish/completions/cove.fish
  powershell  cove completion powershell >> $PROFILE

Commands, options, their values, and the names of what there is right now: sandboxes, processes, ports, keys, contexts.
The script asks cove itself at each Tab, so it stays right when cove is updated.
`

export function define(command: Command, { io }: Context, run: Run): void {
  command
    .addArgument(new Argument('<shell>', 'the shell to complete in').choices(SHELL_NAMES))
    .addHelpText('after', INSTALL)
    .action((shell: ShellName) =>
      run(async () => {
        io.stdout.write(SHELLS[shell].script)
        return STATUS.ok
      }),
    )
}
