/* Numbers as the RFCs call them, for counters, traces and the operator. */
#include "wire/ike/wire_ike.h"

static const char *const fault_names[WIRE_FAULTS] = {
	[WIRE_OK] = "ok",
	[WIRE_F_SHORT] = "short",
	[WIRE_F_LENGTH] = "length",
	[WIRE_F_VERSION] = "version",
	[WIRE_F_CHAIN] = "chain",
	[WIRE_F_SK_LAST] = "sk_last",
	[WIRE_F_REPEATED] = "repeated",
	[WIRE_F_LIMIT] = "limit",
	[WIRE_F_SA] = "sa",
	[WIRE_F_KE] = "ke",
	[WIRE_F_ID] = "id",
	[WIRE_F_CERT] = "cert",
	[WIRE_F_CERTREQ] = "certreq",
	[WIRE_F_AUTH] = "auth",
	[WIRE_F_NONCE] = "nonce",
	[WIRE_F_NOTIFY] = "notify",
	[WIRE_F_DELETE] = "delete",
	[WIRE_F_TS] = "ts",
	[WIRE_F_CP] = "cp",
	[WIRE_F_EAP] = "eap",
	[WIRE_F_PS] = "puzzle",
	[WIRE_F_SK] = "sk",
	[WIRE_F_FRAGMENT] = "fragment_number",
	[WIRE_F_NOMEM] = "nomem",
};

const char *wire_fault_name(enum wire_fault f)
{
	return (unsigned)f < WIRE_FAULTS ? fault_names[f] : "unknown";
}

struct name {
	uint16_t number;
	const char *text;
};

static const char *name_of(const struct name *t, size_t n, unsigned number)
{
	for (size_t i = 0; i < n; i++)
		if (t[i].number == number)
			return t[i].text;
	return NULL;
}

static const struct name exchanges[] = {
	{ WIRE_IKE_SA_INIT, "IKE_SA_INIT" },
	{ WIRE_IKE_AUTH, "IKE_AUTH" },
	{ WIRE_CREATE_CHILD_SA, "CREATE_CHILD_SA" },
	{ WIRE_INFORMATIONAL, "INFORMATIONAL" },
	{ WIRE_IKE_SESSION_RESUME, "IKE_SESSION_RESUME" },
	{ WIRE_IKE_INTERMEDIATE, "IKE_INTERMEDIATE" },
	{ WIRE_IKE_FOLLOWUP_KE, "IKE_FOLLOWUP_KE" },
	{ WIRE_SHORTCUT, "SHORTCUT" },
};

const char *wire_exchange_name(unsigned exchange)
{
	return name_of(exchanges, ARRAY_LEN(exchanges), exchange);
}

/* The notation column of section 3.2, with N, D and V spelled as people say them. */
static const struct name payloads[] = {
	{ WIRE_P_SA, "SA" },         { WIRE_P_KE, "KE" },         { WIRE_P_IDI, "IDi" },
	{ WIRE_P_IDR, "IDr" },       { WIRE_P_CERT, "CERT" },     { WIRE_P_CERTREQ, "CERTREQ" },
	{ WIRE_P_AUTH, "AUTH" },     { WIRE_P_NONCE, "Nonce" },   { WIRE_P_NOTIFY, "Notify" },
	{ WIRE_P_DELETE, "Delete" }, { WIRE_P_VENDOR, "Vendor" }, { WIRE_P_TSI, "TSi" },
	{ WIRE_P_TSR, "TSr" },       { WIRE_P_SK, "SK" },         { WIRE_P_CP, "CP" },
	{ WIRE_P_EAP, "EAP" },       { WIRE_P_SKF, "SKF" },       { WIRE_P_PS, "PS" },
};

const char *wire_payload_name(unsigned type)
{
	return name_of(payloads, ARRAY_LEN(payloads), type);
}

static const struct name notifies[] = {
	{ WIRE_N_UNSUPPORTED_CRITICAL_PAYLOAD, "UNSUPPORTED_CRITICAL_PAYLOAD" },
	{ WIRE_N_INVALID_IKE_SPI, "INVALID_IKE_SPI" },
	{ WIRE_N_INVALID_MAJOR_VERSION, "INVALID_MAJOR_VERSION" },
	{ WIRE_N_INVALID_SYNTAX, "INVALID_SYNTAX" },
	{ WIRE_N_INVALID_MESSAGE_ID, "INVALID_MESSAGE_ID" },
	{ WIRE_N_INVALID_SPI, "INVALID_SPI" },
	{ WIRE_N_NO_PROPOSAL_CHOSEN, "NO_PROPOSAL_CHOSEN" },
	{ WIRE_N_INVALID_KE_PAYLOAD, "INVALID_KE_PAYLOAD" },
	{ WIRE_N_AUTHENTICATION_FAILED, "AUTHENTICATION_FAILED" },
	{ WIRE_N_SINGLE_PAIR_REQUIRED, "SINGLE_PAIR_REQUIRED" },
	{ WIRE_N_NO_ADDITIONAL_SAS, "NO_ADDITIONAL_SAS" },
	{ WIRE_N_INTERNAL_ADDRESS_FAILURE, "INTERNAL_ADDRESS_FAILURE" },
	{ WIRE_N_FAILED_CP_REQUIRED, "FAILED_CP_REQUIRED" },
	{ WIRE_N_TS_UNACCEPTABLE, "TS_UNACCEPTABLE" },
	{ WIRE_N_INVALID_SELECTORS, "INVALID_SELECTORS" },
	{ WIRE_N_UNACCEPTABLE_ADDRESSES, "UNACCEPTABLE_ADDRESSES" },
	{ WIRE_N_UNEXPECTED_NAT_DETECTED, "UNEXPECTED_NAT_DETECTED" },
	{ WIRE_N_TEMPORARY_FAILURE, "TEMPORARY_FAILURE" },
	{ WIRE_N_CHILD_SA_NOT_FOUND, "CHILD_SA_NOT_FOUND" },
	{ WIRE_N_INITIAL_CONTACT, "INITIAL_CONTACT" },
	{ WIRE_N_SET_WINDOW_SIZE, "SET_WINDOW_SIZE" },
	{ WIRE_N_ADDITIONAL_TS_POSSIBLE, "ADDITIONAL_TS_POSSIBLE" },
	{ WIRE_N_IPCOMP_SUPPORTED, "IPCOMP_SUPPORTED" },
	{ WIRE_N_NAT_DETECTION_SOURCE_IP, "NAT_DETECTION_SOURCE_IP" },
	{ WIRE_N_NAT_DETECTION_DESTINATION_IP, "NAT_DETECTION_DESTINATION_IP" },
	{ WIRE_N_COOKIE, "COOKIE" },
	{ WIRE_N_USE_TRANSPORT_MODE, "USE_TRANSPORT_MODE" },
	{ WIRE_N_HTTP_CERT_LOOKUP_SUPPORTED, "HTTP_CERT_LOOKUP_SUPPORTED" },
	{ WIRE_N_REKEY_SA, "REKEY_SA" },
	{ WIRE_N_ESP_TFC_PADDING_NOT_SUPPORTED, "ESP_TFC_PADDING_NOT_SUPPORTED" },
	{ WIRE_N_NON_FIRST_FRAGMENTS_ALSO, "NON_FIRST_FRAGMENTS_ALSO" },
	{ WIRE_N_MOBIKE_SUPPORTED, "MOBIKE_SUPPORTED" },
	{ WIRE_N_ADDITIONAL_IP4_ADDRESS, "ADDITIONAL_IP4_ADDRESS" },
	{ WIRE_N_ADDITIONAL_IP6_ADDRESS, "ADDITIONAL_IP6_ADDRESS" },
	{ WIRE_N_NO_ADDITIONAL_ADDRESSES, "NO_ADDITIONAL_ADDRESSES" },
	{ WIRE_N_UPDATE_SA_ADDRESSES, "UPDATE_SA_ADDRESSES" },
	{ WIRE_N_COOKIE2, "COOKIE2" },
	{ WIRE_N_NO_NATS_ALLOWED, "NO_NATS_ALLOWED" },
	{ WIRE_N_AUTH_LIFETIME, "AUTH_LIFETIME" },
	{ WIRE_N_REDIRECT_SUPPORTED, "REDIRECT_SUPPORTED" },
	{ WIRE_N_REDIRECT, "REDIRECT" },
	{ WIRE_N_REDIRECTED_FROM, "REDIRECTED_FROM" },
	{ WIRE_N_EAP_ONLY_AUTHENTICATION, "EAP_ONLY_AUTHENTICATION" },
	{ WIRE_N_CHILDLESS_IKEV2_SUPPORTED, "CHILDLESS_IKEV2_SUPPORTED" },
	{ WIRE_N_QUICK_CRASH_DETECTION, "QUICK_CRASH_DETECTION" },
	{ WIRE_N_IKEV2_FRAGMENTATION_SUPPORTED, "IKEV2_FRAGMENTATION_SUPPORTED" },
	{ WIRE_N_SIGNATURE_HASH_ALGORITHMS, "SIGNATURE_HASH_ALGORITHMS" },
	{ WIRE_N_PUZZLE, "PUZZLE" },
	{ WIRE_N_USE_PPK, "USE_PPK" },
	{ WIRE_N_PPK_IDENTITY, "PPK_IDENTITY" },
	{ WIRE_N_NO_PPK_AUTH, "NO_PPK_AUTH" },
	{ WIRE_N_PATH_PROBE, "PATH_PROBE" },
};

const char *wire_notify_name(unsigned type)
{
	return name_of(notifies, ARRAY_LEN(notifies), type);
}
