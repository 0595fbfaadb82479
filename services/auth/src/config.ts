// The settings of auth.

import { databaseSettings, observabilitySettings, rpcSettings, sealSettings } from '@maildoot/runtime/common-settings';
import { type ConfigOf, defineSettings } from '@maildoot/runtime/config';

export const settings = defineSettings({ ...databaseSettings, ...rpcSettings, ...sealSettings, ...observabilitySettings });

export type Config = ConfigOf<typeof settings>;
