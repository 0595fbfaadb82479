// Every route of the gateway, in the order of the reference. What isn't in this table isn't served and isn't documented.
import type { Route } from './route.ts';
import { deleteApiKeysId } from './routes/delete-api-keys-id.ts';
import { deleteMessagesId } from './routes/delete-messages-id.ts';
import { deleteTemplatesId } from './routes/delete-templates-id.ts';
import { deleteUserSettingsDomainsDomain } from './routes/delete-user-settings-domains-domain.ts';
import { getApiKeys } from './routes/get-api-keys.ts';
import { getDocs } from './routes/get-docs.ts';
import { getDocsErrors } from './routes/get-docs-errors.ts';
import { getEvents } from './routes/get-events.ts';
import { getHealthz } from './routes/get-healthz.ts';
import { getInbox } from './routes/get-inbox.ts';
import { getMessages } from './routes/get-messages.ts';
import { getMessagesId } from './routes/get-messages-id.ts';
import { getMessagesIdContent } from './routes/get-messages-id-content.ts';
import { getMessagesIdTimeline } from './routes/get-messages-id-timeline.ts';
import { getOpenapiJson } from './routes/get-openapi-json.ts';
import { getReadyz } from './routes/get-readyz.ts';
import { getTemplates } from './routes/get-templates.ts';
import { getTemplatesId } from './routes/get-templates-id.ts';
import { getTemplatesIdVersions } from './routes/get-templates-id-versions.ts';
import { getTestInbox } from './routes/get-test-inbox.ts';
import { getTestInboxId } from './routes/get-test-inbox-id.ts';
import { getTestInboxIdRaw } from './routes/get-test-inbox-id-raw.ts';
import { getUserSettingsDomains } from './routes/get-user-settings-domains.ts';
import { getUserSettingsDomainsDomain } from './routes/get-user-settings-domains-domain.ts';
import { patchTemplatesId } from './routes/patch-templates-id.ts';
import { postApiKeys } from './routes/post-api-keys.ts';
import { postMessages } from './routes/post-messages.ts';
import { postTemplates } from './routes/post-templates.ts';
import { postTemplatesIdPreview } from './routes/post-templates-id-preview.ts';
import { postTemplatesIdPublish } from './routes/post-templates-id-publish.ts';
import { postTemplatesIdSend } from './routes/post-templates-id-send.ts';
import { postUserSettingsDomains } from './routes/post-user-settings-domains.ts';
import { postUserSettingsDomainsRotateDkim } from './routes/post-user-settings-domains-rotate-dkim.ts';
import { postUserSettingsDomainsVerify } from './routes/post-user-settings-domains-verify.ts';

export const routes: readonly Route[] = [
  postMessages,
  getMessages,
  getMessagesId,
  getMessagesIdTimeline,
  getMessagesIdContent,
  deleteMessagesId,
  postTemplates,
  getTemplates,
  getTemplatesId,
  patchTemplatesId,
  deleteTemplatesId,
  postTemplatesIdSend,
  postTemplatesIdPreview,
  getTemplatesIdVersions,
  postTemplatesIdPublish,
  getEvents,
  getUserSettingsDomains,
  postUserSettingsDomains,
  getUserSettingsDomainsDomain,
  deleteUserSettingsDomainsDomain,
  postUserSettingsDomainsVerify,
  postUserSettingsDomainsRotateDkim,
  getApiKeys,
  postApiKeys,
  deleteApiKeysId,
  getTestInbox,
  getTestInboxId,
  getTestInboxIdRaw,
  getInbox,
  getOpenapiJson,
  getDocs,
  getDocsErrors,
  getHealthz,
  getReadyz,
];
