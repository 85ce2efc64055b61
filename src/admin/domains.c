/* domain.add, domain.list, domain.delete */
#include "admin/internal.h"

json_t *admin_domain_add(struct admin_call *call)
{
	struct slice domain = admin_text(call, "domain");
	int error = directory_domain_add(call->services->store, domain);

	if (error == -EINVAL)
		return admin_refuse(error, "\"%.*s\" is not the name of a domain.", SLICE_ARG(domain));
	if (error == -EEXIST)
		return admin_refuse(error, "The domain %.*s is here already.", SLICE_ARG(domain));
	return error ? admin_refuse_plainly(error) : admin_done();
}

static bool add_domain(void *context, struct slice domain)
{
	json_array_append_new(context, admin_string(domain));
	return true;
}

json_t *admin_domain_list(struct admin_call *call)
{
	json_t *domains = json_array();
	int error = domains ? directory_domains(call->services->store, add_domain, domains) : -ENOMEM;

	if (error) {
		json_decref(domains);
		return admin_refuse_plainly(error);
	}
	return admin_done_with("domains", domains);
}

json_t *admin_domain_delete(struct admin_call *call)
{
	struct slice domain = admin_text(call, "domain");
	int error = directory_domain_delete(call->services->store, domain);

	if (error == -ENOENT || error == -EINVAL)
		return admin_refuse(-ENOENT, "There is no domain %.*s here.", SLICE_ARG(domain));
	if (error == -EBUSY)
		return admin_refuse(
			error, "The domain %.*s still has accounts or aliases; delete them first.", SLICE_ARG(domain));
	return error ? admin_refuse_plainly(error) : admin_done();
}
