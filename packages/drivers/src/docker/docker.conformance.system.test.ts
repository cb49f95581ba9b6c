import { noDocker, openDockerRig } from '../../test/support/docker-rig.ts'
import { driverConformance } from '../conformance/index.ts'

driverConformance('docker', () => openDockerRig(), { skip: noDocker })
