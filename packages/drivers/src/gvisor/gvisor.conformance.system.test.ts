import { driverConformance } from '../conformance/index.ts'
import { noGvisor, openGvisorRig } from '../../test/support/gvisor-rig.ts'

driverConformance('gvisor', openGvisorRig, { skip: noGvisor })
