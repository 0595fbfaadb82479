// Every route of the gateway, in the order of the reference. What isn't in this table isn't served and isn't documented.
import type { Route } from './route.ts';
import { deleteApiKeysId } from './routes/delete-api-keys-id.ts';
import { deleteAuthSessions } from './routes/delete-auth-sessions.ts';
import { deleteAuthSessionsId } from './routes/delete-auth-sessions-id.ts';
import { deleteMessages } from './routes/delete-messages.ts';
import { deleteMessagesId } from './routes/delete-messages-id.ts';
import { deleteTeamMembersId } from './routes/delete-team-members-id.ts';
import { deleteTemplatesId } from './routes/delete-templates-id.ts';
import { deleteUserSettingsCallbacksId } from './routes/delete-user-settings-callbacks-id.ts';
import { deleteUserSettingsDomainsDomain } from './routes/delete-user-settings-domains-domain.ts';
import { deleteUserSettingsSmtpUsersId } from './routes/delete-user-settings-smtp-users-id.ts';
import { deleteUserSettingsSuppressionsEmail } from './routes/delete-user-settings-suppressions-email.ts';
import { getApiKeys } from './routes/get-api-keys.ts';
import { getAuditLog } from './routes/get-audit-log.ts';
import { getAuthSessions } from './routes/get-auth-sessions.ts';
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
import { getPassword } from './routes/get-password.ts';
import { getReadyz } from './routes/get-readyz.ts';
import { getStats } from './routes/get-stats.ts';
import { getTCToken } from './routes/get-t-c-token.ts';
import { getTOToken } from './routes/get-t-o-token.ts';
import { getTeamMembers } from './routes/get-team-members.ts';
import { getTemplates } from './routes/get-templates.ts';
import { getTemplatesId } from './routes/get-templates-id.ts';
import { getTemplatesIdVersions } from './routes/get-templates-id-versions.ts';
import { getTestInbox } from './routes/get-test-inbox.ts';
import { getTestInboxId } from './routes/get-test-inbox-id.ts';
import { getTestInboxIdRaw } from './routes/get-test-inbox-id-raw.ts';
import { getUToken } from './routes/get-u-token.ts';
import { getUserMe } from './routes/get-user-me.ts';
import { getUserSettings } from './routes/get-user-settings.ts';
import { getUserSettingsCallbacks } from './routes/get-user-settings-callbacks.ts';
import { getUserSettingsCallbacksId } from './routes/get-user-settings-callbacks-id.ts';
import { getUserSettingsCallbacksIdAttempts } from './routes/get-user-settings-callbacks-id-attempts.ts';
import { getUserSettingsDomains } from './routes/get-user-settings-domains.ts';
import { getUserSettingsDomainsDomain } from './routes/get-user-settings-domains-domain.ts';
import { getUserSettingsSmtpUsers } from './routes/get-user-settings-smtp-users.ts';
import { getUserSettingsSuppressions } from './routes/get-user-settings-suppressions.ts';
import { getUserSettingsSuppressionsExport } from './routes/get-user-settings-suppressions-export.ts';
import { getWellKnownJwksJson } from './routes/get-well-known-jwks-json.ts';
import { patchMessagesId } from './routes/patch-messages-id.ts';
import { patchTemplatesId } from './routes/patch-templates-id.ts';
import { patchUserSettingsCallbacksId } from './routes/patch-user-settings-callbacks-id.ts';
import { postApiKeys } from './routes/post-api-keys.ts';
import { postAuthLogin } from './routes/post-auth-login.ts';
import { postAuthLogout } from './routes/post-auth-logout.ts';
import { postAuthPassword } from './routes/post-auth-password.ts';
import { postAuthPasswordReset } from './routes/post-auth-password-reset.ts';
import { postAuthPasswordResetComplete } from './routes/post-auth-password-reset-complete.ts';
import { postAuthRefresh } from './routes/post-auth-refresh.ts';
import { postMessages } from './routes/post-messages.ts';
import { postMessagesIdResend } from './routes/post-messages-id-resend.ts';
import { postTeamMembers } from './routes/post-team-members.ts';
import { postTemplates } from './routes/post-templates.ts';
import { postTemplatesIdPreview } from './routes/post-templates-id-preview.ts';
import { postTemplatesIdPublish } from './routes/post-templates-id-publish.ts';
import { postTemplatesIdSend } from './routes/post-templates-id-send.ts';
import { postUToken } from './routes/post-u-token.ts';
import { postUserRegenerateAuthPat } from './routes/post-user-regenerate-auth-pat.ts';
import { postUserSettingsCallbacks } from './routes/post-user-settings-callbacks.ts';
import { postUserSettingsCallbacksIdReplay } from './routes/post-user-settings-callbacks-id-replay.ts';
import { postUserSettingsCallbacksIdRotateSecret } from './routes/post-user-settings-callbacks-id-rotate-secret.ts';
import { postUserSettingsCallbacksIdTest } from './routes/post-user-settings-callbacks-id-test.ts';
import { postUserSettingsDomains } from './routes/post-user-settings-domains.ts';
import { postUserSettingsDomainsRotateDkim } from './routes/post-user-settings-domains-rotate-dkim.ts';
import { postUserSettingsDomainsVerify } from './routes/post-user-settings-domains-verify.ts';
import { postUserSettingsSmtpUsers } from './routes/post-user-settings-smtp-users.ts';
import { postUserSettingsSmtpUsersIdResetPassword } from './routes/post-user-settings-smtp-users-id-reset-password.ts';
import { postUserSettingsSuppressions } from './routes/post-user-settings-suppressions.ts';
import { postUserSettingsSuppressionsImport } from './routes/post-user-settings-suppressions-import.ts';

export const routes: readonly Route[] = [
  postMessages,
  getMessages,
  getMessagesId,
  getMessagesIdTimeline,
  getMessagesIdContent,
  patchMessagesId,
  postMessagesIdResend,
  deleteMessagesId,
  deleteMessages,
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
  getStats,
  getUserSettingsSuppressions,
  postUserSettingsSuppressions,
  postUserSettingsSuppressionsImport,
  getUserSettingsSuppressionsExport,
  deleteUserSettingsSuppressionsEmail,
  getUserSettingsCallbacks,
  postUserSettingsCallbacks,
  getUserSettingsCallbacksId,
  patchUserSettingsCallbacksId,
  deleteUserSettingsCallbacksId,
  postUserSettingsCallbacksIdTest,
  postUserSettingsCallbacksIdRotateSecret,
  getUserSettingsCallbacksIdAttempts,
  postUserSettingsCallbacksIdReplay,
  getUserSettingsDomains,
  postUserSettingsDomains,
  getUserSettingsDomainsDomain,
  deleteUserSettingsDomainsDomain,
  postUserSettingsDomainsVerify,
  postUserSettingsDomainsRotateDkim,
  getUserSettingsSmtpUsers,
  postUserSettingsSmtpUsers,
  deleteUserSettingsSmtpUsersId,
  postUserSettingsSmtpUsersIdResetPassword,
  getApiKeys,
  postApiKeys,
  deleteApiKeysId,
  postAuthLogin,
  postAuthRefresh,
  postAuthLogout,
  getAuthSessions,
  deleteAuthSessions,
  deleteAuthSessionsId,
  postAuthPassword,
  postAuthPasswordReset,
  postAuthPasswordResetComplete,
  getWellKnownJwksJson,
  getPassword,
  getUserMe,
  getUserSettings,
  postUserRegenerateAuthPat,
  getTeamMembers,
  postTeamMembers,
  deleteTeamMembersId,
  getAuditLog,
  getTestInbox,
  getTestInboxId,
  getTestInboxIdRaw,
  getInbox,
  getTOToken,
  getTCToken,
  getUToken,
  postUToken,
  getOpenapiJson,
  getDocs,
  getDocsErrors,
  getHealthz,
  getReadyz,
];
