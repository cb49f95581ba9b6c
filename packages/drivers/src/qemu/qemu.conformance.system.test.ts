import { driverConformance } from '../conformance/index.ts'
import { noQemu, openQemuRig } from '../../test/support/qemu-rig.ts'

driverConformance('qemu', openQemuRig, { skip: noQemu })
