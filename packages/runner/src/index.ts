export * from './host-process.ts'
export * from './host-process-spec.ts'
export * from './launcher.ts'
export * from './open-launcher.ts'
