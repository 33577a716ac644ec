/* pin OBJECT FOLDER
 *
 * Loads a BPF object, and pins each iterator in it in FOLDER, of a bpffs, under its own name. */
#include <bpf/libbpf.h>
#include <stdio.h>

static int pin(struct bpf_program *program, const char *folder)
{
	struct bpf_link *link = bpf_program__attach_iter(program, NULL);
	char path[4096];

	if (libbpf_get_error(link))
		return 1;
	snprintf(path, sizeof(path), "%s/%s", folder, bpf_program__name(program));
	return bpf_link__pin(link, path) != 0;
}

int main(int argc, char **argv)
{
	struct bpf_program *program;
	struct bpf_object *object;

	if (argc != 3)
		return 2;
	object = bpf_object__open_file(argv[1], NULL);
	if (libbpf_get_error(object) || bpf_object__load(object))
		return 1; /* libbpf has said why on stderr */
	bpf_object__for_each_program(program, object)
		if (pin(program, argv[2])) {
			perror(bpf_program__name(program));
			return 1;
		}
	return 0;
}
